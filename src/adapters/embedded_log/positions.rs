//! Where groups stand.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::append::json;
use super::catalog::Catalog;
use super::error::Error;
use crate::domain::position::Partition;
use crate::pipeline::log::Burst;

/// A committed position: the offset, and the metadata beside it.
pub(super) type Committed = (u64, String);

/// What a group committed on topics of ours.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    catalog: &Catalog,
    group: &str,
) -> Result<BTreeMap<Partition, Committed>, Error> {
    let rows: Vec<(i64, u32, i64, String)> =
        sqlx::query_as("SELECT topic, partition, base, metadata FROM positions WHERE group_id = ?")
            .bind(group)
            .fetch_all(connection)
            .await?;
    let place = |(topic, number, base, metadata): (i64, u32, i64, String)| {
        Some((Partition { topic: catalog.role(topic)?, number }, (base.unsigned_abs(), metadata)))
    };
    Ok(rows.into_iter().filter_map(place).collect())
}

/// Move the group's positions, inside the caller's write transaction.
///
/// A position that would go backwards or leave its partition is not moved, and then the whole burst must not be: it
/// would lose or repeat records at the next start.
pub(super) async fn commit(
    transaction: &mut SqliteConnection,
    catalog: &Catalog,
    group: &str,
    burst: &Burst,
) -> Result<(), Error> {
    let mut rows = Vec::with_capacity(burst.positions.len());
    for position in &burst.positions {
        let topic = catalog.topic(position.partition)?.number;
        rows.push((topic, position.partition.number, position.base, &position.metadata));
    }
    let moved = sqlx::query(
        "INSERT INTO positions (group_id, topic, partition, base, metadata)
         SELECT ?1, p.topic, p.partition, new.value ->> 2, new.value ->> 3
         FROM json_each(?2) AS new
         JOIN partitions AS p ON p.topic = new.value ->> 0 AND p.partition = new.value ->> 1
         WHERE new.value ->> 2 BETWEEN p.log_start AND p.next_offset
         ON CONFLICT (group_id, topic, partition) DO UPDATE SET base = excluded.base, metadata = excluded.metadata
         WHERE excluded.base >= positions.base",
    )
    .bind(group)
    .bind(json(&rows))
    .execute(transaction)
    .await?
    .rows_affected();
    if moved != rows.len() as u64 {
        return Err(Error::PositionsRefused { burst: burst.number });
    }
    Ok(())
}

/// Where a person says that the group goes on, inside the caller's write transaction.
pub(super) async fn set(
    transaction: &mut SqliteConnection,
    catalog: &Catalog,
    group: &str,
    positions: &[(Partition, u64)],
) -> Result<(), Error> {
    let marks = Catalog::marks(&mut *transaction).await?;
    for (partition, offset) in positions {
        let topic = catalog.topic(*partition)?.number;
        let marks = marks.get(&(topic, partition.number)).ok_or(Error::Gone { partition: *partition })?;
        marks.hold(*partition, *offset)?;
        sqlx::query(
            "INSERT INTO positions (group_id, topic, partition, base, metadata) VALUES (?1, ?2, ?3, ?4, '')
             ON CONFLICT (group_id, topic, partition) DO UPDATE SET base = excluded.base, metadata = ''",
        )
        .bind(group)
        .bind(topic)
        .bind(partition.number)
        .bind(i64::try_from(*offset).unwrap_or(i64::MAX))
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// Whether exactly this burst's positions stand in the file. Metadata is unique per burst, so that no other burst's can
/// be mistaken for it.
pub(super) async fn are_committed(
    connection: &mut SqliteConnection,
    catalog: &Catalog,
    group: &str,
    burst: &Burst,
) -> Result<bool, Error> {
    let committed = load(connection, catalog, group).await?;
    Ok(burst.positions.iter().all(|position| {
        let found = committed.get(&position.partition);
        found.is_some_and(|(base, metadata)| *base == position.base && *metadata == position.metadata)
    }))
}
