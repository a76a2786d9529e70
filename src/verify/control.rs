//! The verifier's own negative control: in a scratch copy damage is planted, and the same comparison that judges the run
//! must detect it. Nothing restored is touched.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::{
    archive::{ATTRIBUTE, Archives},
    disk::open_beneath,
    objects::check_object,
    tables::content_differs,
};
use crate::{
    domain::{
        digest::{RowKey, RowTotals, Sha256Digest},
        proof::Control,
    },
    pg::{
        Address, PgError, copy,
        name::{RelationName, Table, quoted},
        wire::Wire,
    },
    transfer::{
        object::{Answered, ObjectEntry, RestoredBucket},
        properties::Properties,
        receipt::{Confirmation, ObjectReceipt, Within},
    },
};

/// Content for a control where no restored object is small enough to be copied.
const MADE_UP: &[u8] = b"content that was made up to be damaged";
const SCRATCH_ROWS_MAX: u32 = 1_000;
/// Objects above this size aren't copied for a control.
pub(crate) const SCRATCH_BYTES_MAX: u64 = 64 << 20;

fn control(damage: &str, found: bool) -> Control {
    Control { damage: damage.to_owned(), found }
}

/// Plants damage in a copy of one restored object, or of generated content if none is small enough; the copy
/// is in `scratch`, which the caller removes.
/// For an object in a bucket the damaged bytes are passed to the comparison instead of the server's response: only
/// the sink writes there.
pub(crate) fn of_object(
    asset: &str,
    root: &Path,
    buckets: Option<&dyn RestoredBucket>,
    sample: Option<&ObjectReceipt>,
    scratch: &Path,
) -> io::Result<Vec<Control>> {
    let original = sample.map_or_else(|| Ok(MADE_UP.to_vec()), |receipt| content(root, buckets, receipt))?;
    let made_up = || {
        let entry = ObjectEntry { key: "made up".to_owned(), ..ObjectEntry::default() };
        let word = Confirmation::Unavailable("made up".to_owned());
        ObjectReceipt::new(entry, String::new(), original.len() as u64, Sha256Digest::of(&original), word)
    };
    let mut copy = ObjectReceipt { path: "copy".to_owned(), ..sample.cloned().unwrap_or_else(made_up) };
    if matches!(copy.within, Some(Within::Archive { .. })) {
        copy.within = Some(Within::Archive { name: "copy.tar".to_owned(), offset: 0 });
    }
    let answer = ScratchAnswer::default();
    let path = scratch.join(copy.file());
    let found = |content: &[u8]| -> io::Result<bool> {
        match copy.within {
            None => fs::write(&path, content)?,
            Some(Within::Archive { .. }) => write_archive(&path, &copy, &copy.properties, content)?,
            Some(Within::Bucket { .. }) => answer.set(Some((content, &copy.properties))),
        }
        Ok(check_object(asset, scratch, Some(&answer), &copy).is_some())
    };
    let mut controls = vec![control("none (an intact copy is accepted)", !found(&original)?)];
    let mut damaged = original.clone();
    if let Some(byte) = damaged.get_mut(original.len() / 2) {
        *byte ^= 1;
        controls.push(control("one byte changed", found(&damaged)?));
    }
    damaged.push(0);
    controls.push(control("one byte added", found(&damaged)?));
    match copy.within {
        Some(Within::Bucket { .. }) => {
            let other = with_planted(&copy.properties);
            answer.set(Some((&original, &other)));
            let found = check_object(asset, scratch, Some(&answer), &copy).is_some();
            controls.push(control("metadata changed", found));
            answer.set(None);
        }
        Some(Within::Archive { .. }) => {
            write_archive(&path, &copy, &with_planted(&copy.properties), &original)?;
            let found = check_object(asset, scratch, None, &copy).is_some();
            // A receipt without restored properties has only bytes to compare.
            if !copy.classes.is_empty() {
                controls.push(control("metadata changed", found));
            }
            fs::remove_file(&path)?;
        }
        None => fs::remove_file(&path)?,
    }
    controls.push(control("file removed", check_object(asset, scratch, Some(&answer), &copy).is_some()));
    Ok(controls)
}

/// A fake of a target's bucket with one object.
#[derive(Default)]
struct ScratchAnswer(Mutex<Option<(Vec<u8>, Properties)>>);

impl ScratchAnswer {
    fn set(&self, object: Option<(&[u8], &Properties)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            object.map(|(content, properties)| (content.to_vec(), properties.clone()));
    }

    fn object(&self) -> io::Result<(Vec<u8>, Properties)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl RestoredBucket for ScratchAnswer {
    fn read_back(&self, _: &str, _: &str, _: bool) -> io::Result<Answered> {
        let (content, properties) = self.object()?;
        Ok(Answered { size: content.len() as u64, sha256: Sha256Digest::of(content), properties })
    }

    fn size(&self, _: &str, _: &str) -> io::Result<u64> {
        Ok(self.object()?.0.len() as u64)
    }

    fn content(&self, _: &str, _: &str) -> io::Result<Vec<u8>> {
        Ok(self.object()?.0)
    }

    fn each_key(&self, _: &str, _: &mut dyn FnMut(String)) -> io::Result<()> {
        Ok(())
    }
}

fn content(root: &Path, buckets: Option<&dyn RestoredBucket>, receipt: &ObjectReceipt) -> io::Result<Vec<u8>> {
    match (&receipt.within, buckets) {
        (Some(Within::Bucket { name, key }), Some(buckets)) => buckets.content(name, key),
        (Some(Within::Archive { name, offset }), _) => {
            Archives::below(root).content(name, *offset, SCRATCH_BYTES_MAX + 1)
        }
        _ => {
            let file = open_beneath(root, &receipt.path).map_err(|_| io::ErrorKind::NotFound)?;
            let mut content = Vec::new();
            file.take(SCRATCH_BYTES_MAX + 1).read_to_end(&mut content)?;
            Ok(content)
        }
    }
}

fn with_planted(properties: &Properties) -> Properties {
    let mut other = properties.clone();
    other.metadata.insert("walkaway-control".to_owned(), "planted".to_owned());
    other
}

/// An archive whose only member is the copy, with the records of its properties.
fn write_archive(path: &Path, copy: &ObjectReceipt, properties: &Properties, content: &[u8]) -> io::Result<()> {
    let modified = copy.last_modified.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mtime(modified.and_then(|time| u64::try_from(time.as_second()).ok()).unwrap_or_default());
    let mut records = vec![("key", serde_json::to_vec(&copy.key)?), ("properties", serde_json::to_vec(properties)?)];
    if let Some(version) = &copy.version_id {
        records.push(("version_id", serde_json::to_vec(version)?));
    }
    let records: Vec<_> = records.into_iter().map(|(name, value)| (format!("{ATTRIBUTE}{name}"), value)).collect();
    let mut archive = tar::Builder::new(fs::File::create(path)?);
    archive.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), value.as_slice())))?;
    archive.append_data(&mut header, "copy", content)?;
    archive.into_inner().map(drop)
}

/// Rows as they are read for the control, numbered: a table's, or generated ones. Two columns are added that damage
/// can be planted in, whatever the table's own are.
const SOURCE: &str = "scratch";
/// What is planted: a name, the two added columns, and which rows occur how often.
const ROW_DAMAGE: [(&str, &str, &str, &str); 4] = [
    ("one byte changed", "CASE WHEN walkaway_row = 1 THEN 'b' ELSE 'a' END", "NULL::text", ""),
    ("one row dropped", "'a'::text", "NULL::text", " WHERE walkaway_row > 1"),
    (
        "one row doubled",
        "'a'::text",
        "NULL::text",
        ", pg_catalog.generate_series(1, CASE WHEN walkaway_row = 1 THEN 2 ELSE 1 END)",
    ),
    ("NULL turned into ''", "'a'::text", "CASE WHEN walkaway_row = 1 THEN '' END", ""),
];

/// Reads up to a thousand rows of a restored table repeatedly, or generated rows if the database has none, each time
/// with damage that the query plants in its result. Nothing is written: the database is verified by then, and may have
/// event triggers of its own.
pub(crate) fn of_table(
    asset: &str,
    target: &Address,
    table: Option<&Table>,
    key: RowKey,
) -> Result<Vec<Control>, PgError> {
    let mut wire = target.wire()?;
    let scratch = Scratch::of(table);
    // The same rows each time, in whatever order.
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL max_parallel_workers_per_gather = 0";
    wire.execute(begin).map_err(|error| error.during("beginning the negative control"))?;
    let byte = "'a'::text";
    let null = "NULL::text";
    let intact = scratch.totals(&mut wire, byte, null, "", key)?;
    let again = scratch.totals(&mut wire, byte, null, "", key)?;
    let differs = |found: &RowTotals| content_differs(asset, SOURCE, &intact, found).is_some();
    let mut controls = vec![control("none (an intact copy is accepted)", !differs(&again))];
    for (damage, byte, null, rows) in ROW_DAMAGE {
        let damaged = scratch.totals(&mut wire, byte, null, rows, key)?;
        controls.push(control(damage, differs(&damaged)));
    }
    Ok(controls)
}

/// The rows that damage is planted in.
struct Scratch {
    /// The digested columns.
    table: Table,
    /// A query that numbers the rows.
    rows: String,
}

impl Scratch {
    fn of(table: Option<&Table>) -> Self {
        let mut columns = table.map(|table| table.columns.clone()).unwrap_or_default();
        let own = columns.iter().map(|column| format!("t.{}, ", quoted(column))).collect::<String>();
        let from = match table {
            Some(table) => format!("ONLY {} t", table.name.to_sql()),
            None => "pg_catalog.generate_series(1, 10) t".to_owned(),
        };
        let rows = format!(
            "SELECT {own}pg_catalog.row_number() OVER () AS walkaway_row FROM (SELECT t.* FROM {from} LIMIT {SCRATCH_ROWS_MAX}) t"
        );
        columns.extend(["walkaway_byte".to_owned(), "walkaway_null".to_owned()]);
        let name = RelationName { schema: "walkaway".to_owned(), name: SOURCE.to_owned() };
        Scratch { table: Table { name, columns, ..Table::default() }, rows }
    }

    fn totals(&self, wire: &mut Wire, byte: &str, null: &str, rows: &str, key: RowKey) -> Result<RowTotals, PgError> {
        let own = self
            .table
            .columns
            .iter()
            .take(self.table.columns.len() - 2)
            .map(|column| format!("s.{}, ", quoted(column)));
        let own = own.collect::<String>();
        let sql = format!("COPY (SELECT {own}{byte}, {null} FROM ({}) s{rows}) TO STDOUT", self.rows);
        copy::totals(wire, &self.table, &sql, key, |_, _| {})
    }
}
