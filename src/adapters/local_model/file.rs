//! Weights as a file: versioned, checked, and replaced whole or not at all.
//!
//! ```text
//! "GKWEIGHT"  8    magic
//! version     u16  1: this layout and the tokenizer of `features`
//! header      u32  length of the next part, at most 64 KiB
//! about       ..   JSON
//! temperature f32
//! bias        f32  a label
//! scale       f32  a label
//! matrix      i8   buckets * labels
//! vocabulary  bits word slots
//! checksum    u32  CRC-32 of everything before; also names these weights (`a1b2c3d4`)
//! ```
//!
//! Little-endian. A file may be from anywhere: it is refused before anything in it is believed, its size is known from
//! its header, and nothing larger than [`MAX_FILE_BYTES`] is read.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::features::{BUCKETS, WORD_SLOTS};
use super::weights::{About, Weights};

/// Labels a model may have; 16 MiB of weights.
pub const MAX_LABELS: usize = 256;
/// Bytes of a label.
pub const MAX_LABEL_BYTES: usize = 128;

const MAGIC: &[u8; 8] = b"GKWEIGHT";
const VERSION: u16 = 1;
const MAX_ABOUT_BYTES: usize = 64 * 1024;
const MAX_FILE_BYTES: usize = BUCKETS * MAX_LABELS + WORD_SLOTS / 8 + MAX_ABOUT_BYTES + 4 * 1024;
const CHECKSUM_BYTES: usize = 4;

/// Why weights are refused.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("weights {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The bytes are no weights of this version, or damaged.
    #[error("weights {}: {why}", path.display())]
    Refused {
        /// Which.
        path: PathBuf,
        /// Why.
        why: Refusal,
    },
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Larger than any weights.
    #[error("larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// It does not begin like weights.
    #[error("not a weights file")]
    Magic,
    /// Made by another release.
    #[error("format version {0}, this release reads {VERSION}: train again")]
    Version(u16),
    /// The checksum does not fit.
    #[error("damaged (checksum)")]
    Checksum,
    /// A part is missing, or something follows the last one.
    #[error("damaged (length)")]
    Length,
    /// The header is no header.
    #[error("header: {0}")]
    Header(String),
    /// A number that makes no sense.
    #[error("{0} is out of range")]
    Number(&'static str),
}

/// Weights and the name of exactly these bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned {
    /// What was read.
    pub weights: Weights,
    /// Eight hexadecimal digits.
    pub version: String,
}

/// Reads and checks a file.
///
/// # Errors
/// It cannot be read, or not be believed.
pub fn load(path: &Path) -> Result<Versioned, WeightsError> {
    let unreadable = |source| WeightsError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    decode(&bytes).map_err(|why| WeightsError::Refused { path: path.to_owned(), why })
}

/// What stands there that weights may not take the place of; `None`: nothing, an empty file, or weights of any release.
///
/// # Errors
/// It cannot be looked at.
pub fn occupied(path: &Path) -> io::Result<Option<&'static str>> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Before it is opened: a pipe would keep its reader waiting.
    if !about.is_file() {
        return Ok(Some("no regular file"));
    }
    let mut start = Vec::new();
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok((!start.is_empty() && start != MAGIC).then_some("a file of something else"))
}

/// Writes beside the target, forces to disk, renames: a reader sees the old weights or the new ones. Returns the version.
///
/// # Errors
/// It cannot be written; the target is as it was.
pub fn save(weights: &Weights, path: &Path) -> io::Result<String> {
    let bytes = encode(weights)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = write_durably(&beside, &bytes).and_then(|()| fs::rename(&beside, path));
    if let Err(error) = written {
        // The first error is the one to tell; the half-written file may never have come to be.
        fs::remove_file(&beside).ok();
        return Err(error);
    }
    sync_folder(path)?;
    Ok(version(&bytes))
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The rename itself is in the folder, and lost in a crash unless that is on disk too.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The bytes of a file.
///
/// # Errors
/// The header holds a number that JSON cannot.
pub fn encode(weights: &Weights) -> io::Result<Vec<u8>> {
    let about = serde_json::to_vec(&weights.about)?;
    let mut bytes = Vec::with_capacity(weights.matrix.len() + WORD_SLOTS / 8 + about.len() + 4 * 1024);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(about.len()).map_err(io::Error::other)?.to_le_bytes());
    bytes.extend_from_slice(&about);
    for number in [weights.temperature].iter().chain(&weights.bias).chain(&weights.scale) {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend(weights.matrix.iter().map(|byte| byte.cast_unsigned()));
    bytes.extend_from_slice(&weights.vocabulary);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    Ok(bytes)
}

/// Weights from bytes that may be anything.
///
/// # Errors
/// They are not to be believed.
pub fn decode(bytes: &[u8]) -> Result<Versioned, Refusal> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Refusal::TooLarge);
    }
    let mut rest = Rest(bytes);
    if rest.take(MAGIC.len()) != Ok(MAGIC) {
        return Err(Refusal::Magic);
    }
    match u16::from_le_bytes(rest.array()?) {
        VERSION => (),
        other => return Err(Refusal::Version(other)),
    }
    let (body, checksum) =
        bytes.split_last_chunk::<CHECKSUM_BYTES>().map(|(body, sum)| (body, *sum)).ok_or(Refusal::Length)?;
    if crc32fast::hash(body) != u32::from_le_bytes(checksum) {
        return Err(Refusal::Checksum);
    }
    let about = about(&mut rest)?;
    let labels = about.labels.len();
    let temperature = rest.numbers(1)?[0];
    let bias = rest.numbers(labels)?;
    let scale = rest.numbers(labels)?;
    let matrix = rest.take(BUCKETS * labels)?.iter().map(|byte| byte.cast_signed()).collect();
    let vocabulary = rest.take(WORD_SLOTS / 8)?.to_vec();
    if rest.0.len() != CHECKSUM_BYTES {
        return Err(Refusal::Length);
    }
    // A million is far beyond any learnt number, and keeps every score finite.
    let sane = |numbers: &[f32]| numbers.iter().all(|number| number.abs() <= 1e6);
    match (sane(&bias), sane(&scale), (0.1..=10.0).contains(&temperature)) {
        (false, _, _) => Err(Refusal::Number("bias")),
        (_, false, _) => Err(Refusal::Number("scale")),
        (_, _, false) => Err(Refusal::Number("temperature")),
        (true, true, true) => {
            let weights = Weights { about, temperature, bias, scale, matrix, vocabulary };
            Ok(Versioned { weights, version: version(bytes) })
        }
    }
}

fn about(rest: &mut Rest<'_>) -> Result<About, Refusal> {
    let length = u32::from_le_bytes(rest.array()?) as usize;
    if length > MAX_ABOUT_BYTES {
        return Err(Refusal::Header(format!("{length} bytes are too long")));
    }
    let about: About =
        serde_json::from_slice(rest.take(length)?).map_err(|error| Refusal::Header(error.to_string()))?;
    if !(2..=MAX_LABELS).contains(&about.labels.len()) {
        return Err(Refusal::Header(format!("{} labels", about.labels.len())));
    }
    // It goes into every decision's request_model.
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=64).contains(&about.name.len()) || !about.name.bytes().all(in_name) {
        return Err(Refusal::Header("the name is not 1 to 64 of A-Z a-z 0-9 . _ -".to_owned()));
    }
    let mut sorted: Vec<_> = about.labels.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < about.labels.len() {
        return Err(Refusal::Header("a label stands there twice".to_owned()));
    }
    match about.labels.iter().find(|label| !(1..=MAX_LABEL_BYTES).contains(&label.len())) {
        Some(label) => Err(Refusal::Header(format!("a label of {} bytes", label.len()))),
        None => Ok(about),
    }
}

fn version(bytes: &[u8]) -> String {
    let checksum = bytes.last_chunk().copied().map_or(0, u32::from_le_bytes);
    format!("{checksum:08x}")
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Refusal::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Refusal::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<f32>, Refusal> {
        (0..count).map(|_| self.array().map(f32::from_le_bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::learner::learn;
    use super::super::sample;
    use super::*;

    #[test]
    fn weights_take_the_place_of_weights_and_of_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("tickets.csv"), "text,label\n").expect("written");
        fs::write(path("made-before"), "").expect("written");
        fs::write(path("old.gkw"), [MAGIC.as_slice(), &9_u16.to_le_bytes()].concat()).expect("written");
        for (place, may) in [
            (path("tickets.csv"), false),
            (folder.path().to_owned(), false),
            (PathBuf::from("/dev/null"), false),
            (path("made-before"), true),
            (path("old.gkw"), true),
            (path("new.gkw"), true),
        ] {
            assert_eq!(occupied(&place).expect("it can be looked at").is_none(), may, "{}", place.display());
        }
    }

    fn weights() -> Weights {
        learn(&sample::lesson(), &mut |_| ()).expect("the sample is learnt").weights
    }

    fn bytes(change: impl FnOnce(&mut Weights)) -> Vec<u8> {
        let mut weights = weights();
        change(&mut weights);
        encode(&weights).expect("weights encode")
    }

    /// Makes the checksum fit again, so that the checks behind it are reached.
    fn sign(mut bytes: Vec<u8>) -> Vec<u8> {
        let body = bytes.len() - CHECKSUM_BYTES;
        let checksum = crc32fast::hash(&bytes[..body]).to_le_bytes();
        bytes[body..].copy_from_slice(&checksum);
        bytes
    }

    fn refusal(bytes: &[u8]) -> Refusal {
        decode(bytes).map(|read| read.version).expect_err("they are refused")
    }

    #[test]
    fn what_was_saved_is_loaded_and_bears_the_version_that_saving_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.gkw");
        let weights = weights();
        let version = save(&weights, &path).expect("saved");
        assert_eq!(load(&path).expect("loaded"), Versioned { weights, version });
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_save_that_fails_leaves_the_target_and_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("a.gkw");
        fs::create_dir(&target).expect("a folder stands where the weights should go");
        assert!(save(&weights(), &target).is_err());
        assert!(save(&weights(), &folder.path().join("no/such/folder.gkw")).is_err());
        assert!(target.is_dir());
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }

    #[test]
    fn a_file_that_is_not_there_or_not_weights_is_named() {
        let missing = load(Path::new("/nowhere/a.gkw")).expect_err("no file").to_string();
        assert!(missing.starts_with("weights /nowhere/a.gkw: "), "{missing}");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.gkw");
        fs::write(&path, "text,label\n").expect("written");
        let other = load(&path).expect_err("no weights").to_string();
        assert!(other.ends_with("a.gkw: not a weights file"), "{other}");
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused() {
        let whole = bytes(|_| ());
        let cuts = (0..64).chain((64..whole.len()).step_by(997)).chain([whole.len() - 1]);
        for cut in cuts {
            assert!(decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused() {
        let mut whole = bytes(|_| ());
        let length = whole.len();
        for at in (0..64).chain((64..length).step_by(997)).chain([length - 1]) {
            whole[at] ^= 0x10;
            assert!(decode(&whole).is_err(), "flipped at {at}");
            whole[at] ^= 0x10;
        }
        assert!(decode(&whole).is_ok());
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut whole = bytes(|_| ());
        whole[MAGIC.len()] = 9;
        assert_eq!(refusal(&whole), Refusal::Version(9));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused_behind_a_good_checksum() {
        assert_eq!(refusal(&bytes(|weights| weights.bias[1] = f32::NAN)), Refusal::Number("bias"));
        assert_eq!(refusal(&bytes(|weights| weights.scale[0] = f32::INFINITY)), Refusal::Number("scale"));
        assert_eq!(refusal(&bytes(|weights| weights.temperature = 0.0)), Refusal::Number("temperature"));
        assert_eq!(refusal(&bytes(|weights| weights.temperature = f32::NAN)), Refusal::Number("temperature"));
    }

    #[test]
    fn a_header_that_promises_more_or_less_than_there_is_is_refused() {
        let header = |change: fn(&mut Vec<String>)| refusal(&bytes(|weights| change(&mut weights.about.labels)));
        assert_eq!(header(|labels| labels.truncate(1)), Refusal::Header("1 labels".to_owned()));
        assert_eq!(header(|labels| labels.truncate(2)), Refusal::Length);
        assert_eq!(header(|labels| labels.push("more".to_owned())), Refusal::Length);
        assert_eq!(
            header(|labels| labels[0] = labels[1].clone()),
            Refusal::Header("a label stands there twice".to_owned())
        );
        assert_eq!(header(|labels| labels[0].clear()), Refusal::Header("a label of 0 bytes".to_owned()));
        assert_eq!(
            header(|labels| labels.extend((0..999).map(|label| label.to_string()))),
            Refusal::Header("1002 labels".to_owned())
        );
        for name in ["", "a b", "a\u{1b}[2J", &"a".repeat(65)] {
            let refused = refusal(&bytes(|weights| weights.about.name = name.to_owned()));
            assert!(matches!(&refused, Refusal::Header(why) if why.starts_with("the name")), "{refused}");
        }
        let mut long = bytes(|_| ());
        long[10..14].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(refusal(&sign(long)), Refusal::Header("4294967295 bytes are too long".to_owned()));
        let mut no_json = bytes(|_| ());
        no_json[14] = b'[';
        assert!(matches!(refusal(&sign(no_json)), Refusal::Header(_)));
    }

    #[test]
    fn a_file_larger_than_any_weights_is_not_read_to_its_end() {
        assert_eq!(refusal(&vec![0; MAX_FILE_BYTES + 1]), Refusal::TooLarge);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_behind_the_magic_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..512)) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(VERSION.to_le_bytes());
            bytes.extend(tail);
            bytes.extend([0; CHECKSUM_BYTES]);
            prop_assert!(decode(&sign(bytes)).is_err());
        }
    }
}
