//! Whether values of a writer's schema can be read as one of our records: Avro's rules, as far as our records need them.
//!
//! The library's own check does not follow references: where a type is mentioned first, and in which namespace, made the
//! difference between readable and not. It also lets logical types pass whose values the library's reader then refuses
//! one by one, or takes for what they are not: microseconds have the same bytes as milliseconds.

use apache_avro::Schema;
use apache_avro::schema::{RecordSchema, ResolvedSchema, UnionSchema, UuidSchema};

/// Whether at least some values can be read: a union may have branches that ours has not.
///
/// Neither schema may be recursive.
pub(super) fn fits(written: &Schema, ours: &Schema) -> Result<(), String> {
    let resolved = |schema| ResolvedSchema::new(schema).map_err(|error| error.to_string());
    let pair = Pair { written: resolved(written)?, ours: resolved(ours)? };
    pair.check(written, ours).map_err(|misfit| match misfit.path.len() {
        0 => misfit.why,
        _ => format!("at {}: {}", misfit.path.into_iter().rev().collect::<Vec<_>>().join("."), misfit.why),
    })
}

/// Takes away what types mean beside what they are: the library reads a `uuid` as something that it then does not take for
/// a string, and a time as something that is no number.
pub(super) fn make_plain(schema: &mut Schema) -> Result<(), String> {
    match schema {
        Schema::Array(array) => make_plain(&mut array.items)?,
        Schema::Map(map) => make_plain(&mut map.types)?,
        Schema::Record(record) => record.fields.iter_mut().try_for_each(|field| make_plain(&mut field.schema))?,
        Schema::Union(union) => {
            let mut branches = union.variants().to_vec();
            branches.iter_mut().try_for_each(make_plain)?;
            *union = UnionSchema::new(branches).map_err(|error| error.to_string())?;
        }
        _ => {
            if let Some(plain) = plain(schema) {
                *schema = plain;
            }
        }
    }
    Ok(())
}

/// What it is, if it means more than that.
fn plain(schema: &Schema) -> Option<Schema> {
    match schema {
        Schema::Uuid(UuidSchema::String) => Some(Schema::String),
        Schema::Date | Schema::TimeMillis => Some(Schema::Int),
        Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => Some(Schema::Long),
        _ => None,
    }
}

/// Two schemas with their named types.
struct Pair<'a> {
    written: ResolvedSchema<'a>,
    ours: ResolvedSchema<'a>,
}

/// What cannot be read.
struct Misfit {
    /// Fields, the innermost first.
    path: Vec<String>,
    why: String,
    /// Not even where another branch of a union fits.
    always: bool,
}

impl Misfit {
    fn new(why: impl Into<String>) -> Self {
        Self { path: Vec::new(), why: why.into(), always: false }
    }

    fn within(mut self, field: &str) -> Self {
        self.path.push(field.to_owned());
        self
    }
}

impl Pair<'_> {
    fn check(&self, written: &Schema, ours: &Schema) -> Result<(), Misfit> {
        match (followed(&self.written, written), followed(&self.ours, ours)) {
            (Schema::Union(written), ours) => any(written.variants().iter().map(|branch| self.check(branch, ours))),
            (written, Schema::Union(ours)) => any(ours.variants().iter().map(|branch| self.check(written, branch))),
            (Schema::Record(written), Schema::Record(ours)) if written.name.name() == ours.name.name() => {
                self.check_fields(written, ours)
            }
            // Each of ours has a symbol for those that it does not know.
            (Schema::Enum(written), Schema::Enum(ours)) if written.name.name() == ours.name.name() => Ok(()),
            (Schema::Array(written), Schema::Array(ours)) => self.check(&written.items, &ours.items),
            (Schema::Map(written), Schema::Map(ours)) => self.check(&written.types, &ours.types),
            (written, Schema::TimestampMillis) if is_another_time(written) => {
                let why =
                    format!("{written} where TimestampMillis is due: register it as milliseconds (timestamp-millis)");
                Err(Misfit { always: true, ..Misfit::new(why) })
            }
            (written, ours) if is_readable(written, ours) => Ok(()),
            (written, ours) => Err(Misfit::new(format!("{written} where {ours} is due"))),
        }
    }

    fn check_fields(&self, written: &RecordSchema, ours: &RecordSchema) -> Result<(), Misfit> {
        ours.fields.iter().try_for_each(|field| match written.fields.iter().find(|other| other.name == field.name) {
            Some(other) => self.check(&other.schema, &field.schema).map_err(|misfit| misfit.within(&field.name)),
            None if field.default.is_some() => Ok(()),
            None => Err(Misfit::new("it is missing").within(&field.name)),
        })
    }
}

fn followed<'a>(types: &'a ResolvedSchema<'a>, schema: &'a Schema) -> &'a Schema {
    match schema {
        Schema::Ref { name } => types.get_names().get(name).copied().unwrap_or(schema),
        _ => schema,
    }
}

fn any(branches: impl Iterator<Item = Result<(), Misfit>>) -> Result<(), Misfit> {
    let mut found = Err(Misfit::new("a union of nothing"));
    for branch in branches {
        match branch {
            Err(misfit) if misfit.always => return Err(misfit),
            Err(_) if found.is_ok() => {}
            one => found = one,
        }
    }
    found
}

/// A local one is none of ours: nobody says where.
fn is_another_time(written: &Schema) -> bool {
    !matches!(written, Schema::TimestampMillis) && matches!(plain(written), Some(Schema::Int | Schema::Long))
}

/// Of types without parts.
fn is_readable(written: &Schema, ours: &Schema) -> bool {
    let plain = plain(written);
    let written = plain.as_ref().unwrap_or(written);
    match ours {
        Schema::Null => matches!(written, Schema::Null),
        Schema::Boolean => matches!(written, Schema::Boolean),
        Schema::Int => matches!(written, Schema::Int),
        Schema::Long | Schema::TimestampMillis => matches!(written, Schema::Int | Schema::Long),
        Schema::Float => matches!(written, Schema::Int | Schema::Long | Schema::Float),
        Schema::Double => matches!(written, Schema::Int | Schema::Long | Schema::Float | Schema::Double),
        Schema::String | Schema::Bytes => matches!(written, Schema::String | Schema::Bytes),
        _ => false,
    }
}
