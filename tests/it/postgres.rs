//! A database of one's own on the server that `GATEKEEPER_TEST_POSTGRES` names, and a wire to it that can be cut.

use std::sync::{Arc, Mutex};

use gatekeeper::settings::secret::Secret;
use gatekeeper::settings::{self, LoadOptions, load};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A new database, gone when this goes.
pub struct TestDatabase {
    server: String,
    name: String,
}

impl TestDatabase {
    pub async fn new() -> Self {
        let server = std::env::var("GATEKEEPER_TEST_POSTGRES").expect(
            "GATEKEEPER_TEST_POSTGRES names a server: postgres://USER@HOST:PORT/DATABASE, who may create databases",
        );
        Self::with(server, "").await
    }

    /// Whose characters are encoded in another way than everybody's.
    pub async fn encoded_in(encoding: &str) -> Self {
        let server = std::env::var("GATEKEEPER_TEST_POSTGRES").expect("tests/run says where it is");
        Self::with(server, &format!("ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")).await
    }

    async fn with(server: String, options: &str) -> Self {
        let database = Self { server, name: format!("gk_test_{}", uuid::Uuid::new_v4().simple()) };
        run(&database.server, &format!("CREATE DATABASE {} {options}", database.name)).await;
        database
    }

    /// In which the server's clock stands still until [`Self::set_clock`] moves it: a function of ours stands before the
    /// server's in the search path, which is where statements look for it.
    pub async fn with_hand_clock() -> Self {
        let database = Self::new().await;
        database
            .run(&format!(
                "CREATE SCHEMA moved;
                 CREATE TABLE moved.clock (millis BIGINT NOT NULL);
                 INSERT INTO moved.clock VALUES (0);
                 CREATE FUNCTION moved.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
                     AS 'SELECT to_timestamp(millis / 1000.0) FROM moved.clock';
                 ALTER DATABASE {} SET search_path = moved, pg_catalog, public",
                database.name
            ))
            .await;
        database
    }

    pub async fn set_clock(&self, millis: i64) {
        self.run(&format!("UPDATE moved.clock SET millis = {millis}")).await;
    }

    /// Statements from outside.
    pub async fn run(&self, sql: &str) {
        run(&self.url(), sql).await;
    }

    /// A connection from outside.
    pub async fn connect(&self) -> PgConnection {
        connect(&self.url()).await
    }

    /// A setting of all connections to come.
    pub async fn alter(&self, setting: &str) {
        self.run(&format!("ALTER DATABASE {} SET {setting}", self.name)).await;
    }

    /// Settings of a ledger in this database.
    pub fn settings(&self) -> settings::ledger::Ledger {
        self.settings_at(None)
    }

    /// The same, by way of a wire.
    pub fn settings_through(&self, wire: &Wire) -> settings::ledger::Ledger {
        self.settings_at(Some(wire.port))
    }

    /// The same, by way of whatever will listen on this port.
    pub fn settings_by(&self, port: u16) -> settings::ledger::Ledger {
        self.settings_at(Some(port))
    }

    fn settings_at(&self, port: Option<u16>) -> settings::ledger::Ledger {
        let options: PgConnectOptions = self.server.parse().expect("a URL");
        let (user, host) = (options.get_username(), options.get_host());
        let (host, port) = port.map_or((host, options.get_port()), |port| ("127.0.0.1", port));
        let mut ledger = load(&LoadOptions::default()).expect("the defaults are right").settings.ledger;
        ledger.url = format!("postgres://{user}@{host}:{port}/{}", self.name);
        ledger.postgres.password = password(&self.server).map(Secret::new);
        ledger
    }

    fn url(&self) -> String {
        let (scheme_and_server, _) = self.server.rsplit_once('/').expect("a URL with a database");
        format!("{scheme_and_server}/{}", self.name)
    }

    /// Where the server listens.
    fn address(&self) -> (String, u16) {
        let options: PgConnectOptions = self.server.parse().expect("a URL");
        (options.get_host().to_owned(), options.get_port())
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Not `WITH (FORCE)`: that would end the server's own cleaning of tables too, which a plain user may not, while a drop
        // without it makes the cleaner leave. What is ours is ended here.
        let (server, name) = (self.server.clone(), self.name.clone());
        let end_ours = format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}' AND usename = current_user"
        );
        let drop = format!("DROP DATABASE IF EXISTS {name}");
        // A destructor cannot wait; a thread of its own can.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                run(&server, &end_ours).await;
                run(&server, &drop).await;
            });
        });
        assert!(dropping.join().is_ok() || std::thread::panicking(), "the database is left behind");
    }
}

fn password(url: &str) -> Option<String> {
    let (user, _) = url.split_once("://")?.1.split_once('@')?;
    user.split_once(':').map(|(_, password)| password.to_owned())
}

async fn connect(url: &str) -> PgConnection {
    url.parse::<PgConnectOptions>().expect("a URL").connect().await.expect("the server is there")
}

async fn run(url: &str, sql: &str) {
    let mut connection = connect(url).await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect(sql);
    connection.close().await.expect("nothing is open");
}

/// A wire to the server.
pub struct Wire {
    port: u16,
    mood: Arc<Mutex<Mood>>,
}

/// How the wire behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Good,
    /// The next COMMIT reaches the server and is done; its answer is lost with the connection.
    CutsNextCommit,
    /// From the next COMMIT on nothing that the server says arrives, and nothing says that it does not.
    FallsSilentAtNextCommit,
    Silent,
    /// Every connection ends with the first word from our side.
    Cut,
}

impl Wire {
    pub async fn to(database: &TestDatabase) -> Self {
        Self::on(0, database).await
    }

    /// From this port.
    pub async fn on(port: u16, database: &TestDatabase) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let wire = Self { port, mood: Arc::new(Mutex::new(Mood::Good)) };
        let (mood, (host, port)) = (Arc::clone(&wire.mood), database.address());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((host.as_str(), port)).await.expect("the server is there");
                tokio::spawn(carry(client, server, Arc::clone(&mood)));
            }
        });
        wire
    }

    pub fn cut_after_next_commit(&self) {
        *self.mood.lock().expect("nobody panics with it") = Mood::CutsNextCommit;
    }

    pub fn cut(&self, is_cut: bool) {
        *self.mood.lock().expect("nobody panics with it") = if is_cut { Mood::Cut } else { Mood::Good };
    }

    pub fn fall_silent_at_next_commit(&self) {
        *self.mood.lock().expect("nobody panics with it") = Mood::FallsSilentAtNextCommit;
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, mood: Arc<Mutex<Mood>>) {
    let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut is_cut = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Some(bytes) = read.ok().filter(|read| *read > 0).map(|read| &from_client[..read]) else { return };
                if *mood.lock().expect("nobody panics with it") == Mood::Cut {
                    return;
                }
                if bytes.windows(7).any(|word| word == b"COMMIT\0") {
                    is_cut = is_cut_by_commit(&mood);
                }
                if server.write_all(bytes).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Some(bytes) = read.ok().filter(|read| *read > 0).map(|read| &from_server[..read]) else { return };
                let is_silent = *mood.lock().expect("nobody panics with it") == Mood::Silent;
                if is_cut || (!is_silent && client.write_all(bytes).await.is_err()) {
                    return;
                }
            }
        }
    }
}

/// What a COMMIT does to the wire it passes; true: this connection ends before the answer.
fn is_cut_by_commit(mood: &Mutex<Mood>) -> bool {
    let mut mood = mood.lock().expect("nobody panics with it");
    let before = *mood;
    *mood = match before {
        Mood::Good | Mood::CutsNextCommit => Mood::Good,
        Mood::FallsSilentAtNextCommit | Mood::Silent => Mood::Silent,
        Mood::Cut => Mood::Cut,
    };
    before == Mood::CutsNextCommit
}
