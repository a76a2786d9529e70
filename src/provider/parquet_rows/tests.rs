//! Files that lie, made byte by byte: each is refused with a reason that names the lie, or read as what it holds.

use std::path::PathBuf;

use parquet::{
    basic::{Compression, Encoding, GzipLevel},
    column::writer::ColumnWriter,
    data_type::{ByteArray, ByteArrayType, Int32Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use super::*;

/// What is encoded in Thrift's compact protocol, put together.
#[derive(Clone, Default)]
struct Thrift(Vec<u8>);

impl Thrift {
    fn varint(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    fn number(mut self, skipped: u8, kind: u8, number: i64) -> Self {
        self.0.push(skipped << 4 | kind);
        self.varint(((number << 1) ^ (number >> 63)) as u64)
    }

    /// The field that is `skipped` after the last one.
    fn i32(self, skipped: u8, number: i64) -> Self {
        self.number(skipped, 5, number)
    }

    fn i64(self, skipped: u8, number: u64) -> Self {
        self.number(skipped, 6, number as i64)
    }

    fn text(mut self, skipped: u8, text: &str) -> Self {
        self.0.push(skipped << 4 | 8);
        self = self.varint(text.len() as u64);
        self.0.extend(text.bytes());
        self
    }

    fn object(mut self, skipped: u8, object: Thrift) -> Self {
        self.0.push(skipped << 4 | 12);
        self.0.extend(object.0);
        self.0.push(0);
        self
    }

    fn objects(mut self, skipped: u8, objects: impl IntoIterator<Item = Thrift>) -> Self {
        let objects: Vec<_> = objects.into_iter().collect();
        self.0.extend([skipped << 4 | 9, 0xfc]);
        self = self.varint(objects.len() as u64);
        for object in objects {
            self.0.extend(object.0);
            self.0.push(0);
        }
        self
    }
}

/// A page of one column, and what its header says of it.
#[derive(Clone)]
struct MadePage {
    dictionary: bool,
    values: i64,
    encoding: i64,
    decoded: i64,
    stored: i64,
    crc: Option<u32>,
    body: Vec<u8>,
}

impl MadePage {
    /// A page of plain values.
    fn plain(values: i64, body: &[u8]) -> Self {
        let length = body.len() as i64;
        let dictionary = false;
        let encoding = 0;
        let crc = None;
        MadePage { dictionary, values, encoding, decoded: length, stored: length, crc, body: body.to_vec() }
    }

    fn numbers(numbers: impl IntoIterator<Item = i32>) -> Self {
        let numbers: Vec<i32> = numbers.into_iter().collect();
        let body: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        MadePage::plain(numbers.len() as i64, &body)
    }

    fn with_checksum(self) -> Self {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32IsoHdlc);
        digest.update(&self.body);
        MadePage { crc: Some(digest.finalize() as u32), ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut header = Thrift::default().i32(1, if self.dictionary { 2 } else { 0 }).i32(1, self.decoded);
        header = header.i32(1, self.stored);
        let mut skipped = 1;
        if let Some(crc) = self.crc {
            header = header.i32(1, i64::from(crc as i32));
            skipped = 0;
        }
        let inside = Thrift::default().i32(1, self.values).i32(1, self.encoding);
        header = if self.dictionary {
            header.object(3 + skipped, inside)
        } else {
            header.object(1 + skipped, inside.i32(1, 3).i32(1, 3))
        };
        header.0.push(0);
        [header.0, self.body.clone()].concat()
    }
}

/// A file of one required column, and what its footer says.
struct MadeFile {
    /// 1 for INT32, 6 for BYTE_ARRAY.
    kind: i64,
    /// Rows by the footer, pages, and how often the footer names the group.
    groups: Vec<(u64, Vec<MadePage>, usize)>,
    /// What the footer says beyond its row groups.
    rows_more: i64,
    codec: i64,
    /// What follows the pages.
    beside: Vec<u8>,
    /// Where the footer places a Bloom filter, and how long it says that it is.
    filter: Option<(u64, Option<i64>)>,
    /// Where it places an index, and how long.
    index: Option<(u64, i64)>,
}

impl MadeFile {
    fn of(kind: i64, groups: impl IntoIterator<Item = Vec<MadePage>>) -> Self {
        let values = |page: &MadePage| if page.dictionary { 0 } else { page.values as u64 };
        let groups = groups.into_iter().map(|pages| (pages.iter().map(values).sum(), pages, 1)).collect();
        MadeFile { kind, groups, rows_more: 0, codec: 0, beside: Vec::new(), filter: None, index: None }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"PAR1".to_vec();
        let mut groups = Vec::new();
        let mut rows = 0;
        for (group_rows, pages, times) in &self.groups {
            let begin = bytes.len() as u64;
            let has_dictionary = pages.first().is_some_and(|page| page.dictionary);
            let mut starts = Vec::new();
            for page in pages {
                starts.push(bytes.len() as u64);
                bytes.extend(page.bytes());
            }
            let length = bytes.len() as u64 - begin;
            let data = starts.get(usize::from(has_dictionary)).copied();
            let mut path = Thrift::default();
            path.0.extend([0x19, 0x18, 1, b'c']);
            let mut column = Thrift::default().i32(1, self.kind);
            column.0.extend([0x19, 0x15, 0]);
            column.0.extend(path.0);
            column = column.i32(1, self.codec).i64(1, *group_rows).i64(1, length).i64(1, length);
            column = column.i64(2, data.unwrap_or(begin));
            if has_dictionary {
                column = column.i64(2, begin);
            }
            if let Some((at, length)) = self.filter {
                column = column.i64(if has_dictionary { 3 } else { 5 }, at);
                column = length.map_or(column.clone(), |length| column.i32(1, length));
            }
            let mut chunk = Thrift::default().i64(2, begin).object(1, column);
            if let Some((at, length)) = self.index {
                chunk = chunk.i64(1, at).i32(1, length);
            }
            let group = Thrift::default().objects(1, [chunk]).i64(1, length).i64(1, *group_rows);
            groups.extend(std::iter::repeat_n(group, *times));
            rows += group_rows * *times as u64;
        }
        bytes.extend(&self.beside);
        let root = Thrift::default().text(4, "m").i32(1, 1);
        let leaf = Thrift::default().i32(1, self.kind).i32(2, 0).text(1, "c");
        let mut footer = Thrift::default().i32(1, 1).objects(1, [root, leaf]);
        footer = footer.i64(1, (rows as i64 + self.rows_more) as u64).objects(1, groups);
        footer.0.push(0);
        sealed(bytes, &footer.0)
    }
}

fn sealed(mut bytes: Vec<u8>, footer: &[u8]) -> Vec<u8> {
    bytes.extend(footer);
    bytes.extend((footer.len() as u32).to_le_bytes());
    bytes.extend(b"PAR1");
    bytes
}

fn in_file<T>(bytes: &[u8], work: impl FnOnce(PathBuf) -> T) -> T {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("part-00000-1.gz.parquet");
    std::fs::write(&path, bytes).expect("write");
    work(path)
}

/// Everything that a file holds, as COPY text; or why it is refused.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<u8>, ParquetShape), SourceError> {
    in_file(bytes, |path| {
        let shape = shape_of(&path)?;
        let mut rows = ParquetRows::new([path], shape.columns.clone());
        let mut text = Vec::new();
        loop {
            let mut batch = Vec::new();
            rows.fill(&mut batch)?;
            if batch.is_empty() {
                return Ok((text, shape));
            }
            text.extend(batch);
        }
    })
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).map(|(text, _)| String::from_utf8_lossy(&text).into_owned()).expect_err("refused").to_string()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let (text, _) = read(bytes).unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

#[test]
fn a_file_that_agrees_with_itself_is_read() {
    let file = MadeFile::of(1, [vec![MadePage::numbers(0..3).with_checksum(), MadePage::numbers(3..5)]]);
    assert_eq!(lines(&file.bytes()), ["0", "1", "2", "3", "4"]);
    let (_, shape) = read(&file.bytes()).expect("read");
    assert_eq!((shape.rows, shape.unnamed_bytes), (5, 0));
    // A group without rows, one without pages, and a dictionary.
    let file = MadeFile::of(1, [vec![MadePage::numbers([])], vec![MadePage::numbers([7])], vec![]]);
    assert_eq!(lines(&file.bytes()), ["7"]);
    let dictionary = MadePage { dictionary: true, ..MadePage::numbers([40, 50]) };
    // One bit for each index: eight of them, packed.
    let indexes = MadePage { encoding: 8, ..MadePage::plain(8, &[1, 3, 0b1010_0001]) };
    let file = MadeFile::of(1, [vec![dictionary, indexes]]);
    assert_eq!(lines(&file.bytes()), ["50", "40", "40", "40", "40", "50", "40", "50"]);
}

#[test]
fn numbers_that_contradict_each_other_are_refused() {
    let group = |numbers: std::ops::Range<i32>| vec![MadePage::numbers(numbers)];
    let of_group = |rows: u64, numbers| MadeFile { groups: vec![(rows, group(numbers), 1)], ..MadeFile::of(1, []) };
    let cases = [
        // A row group is dropped from the footer, or named twice.
        (MadeFile { rows_more: 3, ..MadeFile::of(1, [group(0..2)]) }, "its footer says that it has 5 rows"),
        (MadeFile { groups: vec![(2, group(0..2), 2)], ..MadeFile::of(1, []) }, "names some bytes twice"),
        (MadeFile { rows_more: -2, groups: vec![(2, group(0..2), 2)], ..MadeFile::of(1, []) }, "its row groups have 4"),
        // A row group of other rows than its pages have.
        (of_group(3, 0..2), "3 values by the footer and 2 by its pages"),
        (of_group(1, 0..2), "1 values by the footer and 2 by its pages"),
        (of_group(1 << 40, 0..2), "values by the footer and 2 by its pages"),
        // Pages of other lengths than their headers say.
        (MadeFile::of(1, [vec![MadePage { values: 2, ..MadePage::numbers(0..3) }]]), "another number of values"),
        (MadeFile::of(1, [vec![MadePage { values: 3, ..MadePage::numbers(0..2) }]]), "another number of values"),
        (
            MadeFile::of(1, [vec![MadePage { decoded: 12, ..MadePage::numbers(0..2) }]]),
            "not as long as its header says",
        ),
        (MadeFile::of(1, [vec![MadePage { stored: 4000, ..MadePage::numbers(0..2) }]]), "longer than its column"),
        (
            MadeFile {
                groups: vec![(2, vec![MadePage { values: -1, ..MadePage::numbers(0..2) }], 1)],
                ..MadeFile::of(1, [])
            },
            "no page where one should begin",
        ),
        (
            MadeFile::of(
                1,
                [vec![MadePage { dictionary: true, values: 9, ..MadePage::numbers([4, 5]) }, MadePage::numbers([1])]],
            ),
            "another number of values",
        ),
        (
            MadeFile::of(1, [vec![MadePage::numbers([1]), MadePage { dictionary: true, ..MadePage::numbers([4, 5]) }]]),
            "a dictionary in the wrong place",
        ),
    ];
    for (number, (file, reason)) in cases.iter().enumerate() {
        let refused = refusal(&file.bytes());
        assert!(refused.contains(reason), "{number}: {refused}");
    }
}

#[test]
fn a_row_group_that_the_footer_forgets_leaves_bytes_that_nothing_names() {
    let group = |number: i32| vec![MadePage::numbers([number])];
    let mut file = MadeFile::of(1, [group(1), group(2)]);
    file.groups[1].2 = 0;
    let (text, shape) = read(&file.bytes()).expect("read");
    assert_eq!((text, shape.rows), (b"1\n".to_vec(), 1));
    assert_eq!(shape.unnamed_bytes, MadePage::numbers([2]).bytes().len() as u64);
}

#[test]
fn what_lies_beside_pages_counts_only_as_far_as_it_is_what_the_footer_says() {
    let page = MadePage::numbers([1]);
    let end = 4 + page.bytes().len() as u64;
    let filter = |bits: i64| {
        let nothing = || Thrift::default().object(1, Thrift::default());
        let mut header = Thrift::default().i32(1, bits).object(1, nothing()).object(1, nothing()).object(1, nothing());
        header.0.push(0);
        header.0
    };
    let forgotten = MadePage::numbers([2]).bytes();
    let whole = [filter(32), vec![7; 32]].concat();
    let length = whole.len() as i64;
    let all = length + forgotten.len() as i64;
    let endless = [filter(i64::from(i32::MAX - 31)), forgotten.clone()].concat();
    let with_group = [whole.clone(), forgotten.clone()].concat();
    let index = [Thrift::default().i32(1, 5).0, vec![0]].concat();
    let made = |beside: &[u8], filter, index| {
        let file = MadeFile { beside: beside.to_vec(), filter, index, ..MadeFile::of(1, [vec![page.clone()]]) };
        read(&file.bytes()).map(|(_, shape)| shape.unnamed_bytes)
    };
    let group = forgotten.len() as u64;
    for (beside, filter, index, unnamed) in [
        (&whole, Some((end, None)), None, 0),
        (&whole, Some((end, Some(length))), None, 0),
        (&index, None, Some((end, index.len() as i64)), 0),
        // A row group that the footer forgets, behind a filter without a length, in one that is too long, or as one.
        (&with_group, Some((end, None)), None, group),
        (&with_group, Some((end, Some(all))), None, all as u64),
        (&forgotten, Some((end, None)), None, group),
        (&forgotten, Some((end, Some(group as i64))), None, group),
        (&forgotten, None, Some((end, group as i64)), group),
        // A filter that says that it goes on beyond the footer.
        (&endless, Some((end, None)), None, endless.len() as u64),
    ] {
        let found = made(beside, filter, index).unwrap_or_else(|error| panic!("{filter:?} {index:?}: {error}"));
        assert_eq!(found, unnamed, "{filter:?} {index:?}");
    }
    // The whole page would be an index, too, if it were one struct.
    let twice = made(&[], None, Some((4, (end - 4) as i64)));
    assert!(matches!(twice, Ok(0)), "{twice:?}");
}

#[test]
fn any_flipped_bit_of_a_page_with_a_checksum_is_found() {
    let page = MadePage::numbers(0..6).with_checksum();
    let good = MadeFile::of(1, [vec![page.clone()]]).bytes();
    let header = page.bytes().len() - page.body.len();
    for at in 0..page.body.len() * 8 {
        let mut damaged = good.clone();
        damaged[4 + header + at / 8] ^= 1 << (at % 8);
        assert!(refusal(&damaged).contains("checksum"), "bit {at}");
    }
}

#[test]
fn flipped_bits_of_header_and_footer_end_in_a_refusal_or_in_what_the_file_holds() {
    let pages = vec![MadePage::numbers(0..6).with_checksum(), MadePage::numbers(6..9).with_checksum()];
    let good = MadeFile::of(1, [pages]).bytes();
    let expected = lines(&good);
    for at in 0..good.len() * 8 {
        let mut damaged = good.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        // The name of the column and what its numbers mean are beyond any check here.
        if let Ok((text, shape)) = read(&damaged)
            && (shape.columns[0].name.as_str(), shape.columns[0].sql_type.as_str()) == ("c", "integer")
        {
            let text = String::from_utf8_lossy(&text);
            assert_eq!(text.lines().collect::<Vec<_>>(), expected, "bit {at}");
        }
    }
}

#[test]
fn a_small_file_does_not_become_a_large_memory() {
    let lying = |body: Vec<u8>, encoding: i64, values: i64| {
        MadeFile::of(6, [vec![MadePage { encoding, ..MadePage::plain(values, &body) }]]).bytes()
    };
    // More lengths within than values by the header.
    let few = Thrift::default().varint(128).varint(4).varint(1 << 31).varint(0).0;
    for encoding in [5, 6, 7] {
        let refused = refusal(&lying(few.clone(), encoding, 3));
        assert!(refused.contains("another number of values"), "{refused}");
    }
    // A dictionary, or lengths, of 2 billion values by the header.
    let dictionary = MadePage { dictionary: true, values: i64::from(i32::MAX), ..MadePage::numbers([1]) };
    let refused = refusal(&MadeFile::of(1, [vec![dictionary, MadePage::numbers([1])]]).bytes());
    assert!(refused.contains("in memory, more than"), "{refused}");
    let refused = refusal(&lying(few, 6, i64::from(i32::MAX)));
    assert!(refused.contains("in memory, more than"), "{refused}");
    // A page that says that it is 2 GB once decompressed.
    for codec in [1, 2] {
        let page = MadePage { decoded: i64::from(i32::MAX), ..MadePage::numbers([1]) };
        let refused = refusal(&MadeFile { codec, ..MadeFile::of(1, [vec![page]]) }.bytes());
        assert!(refused.contains("not as long as its header says"), "{refused}");
    }
}

/// Bytes packed by gzip, and a length at their end that may be another.
fn packed(bytes: &[u8], claimed: Option<u32>) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, bytes).expect("pack");
    let mut packed = packed.finish().expect("pack");
    if let Some(claimed) = claimed {
        let end = packed.len() - 4;
        packed[end..].copy_from_slice(&claimed.to_le_bytes());
    }
    packed
}

#[test]
fn a_page_is_unpacked_no_further_than_its_header_says() {
    let numbers: Vec<u8> = [7_i32, 9].iter().flat_map(|number| number.to_le_bytes()).collect();
    let file = |body: Vec<u8>| {
        let page = MadePage { decoded: 8, ..MadePage::plain(2, &body) };
        MadeFile { codec: 2, ..MadeFile::of(1, [vec![page]]) }.bytes()
    };
    assert_eq!(lines(&file(packed(&numbers, None))), ["7", "9"]);
    // Two members are one page.
    assert_eq!(lines(&file([packed(&numbers[..4], None), packed(&numbers[4..], None)].concat())), ["7", "9"]);
    let zeros = vec![0; 16 << 20];
    for (number, body) in [
        packed(&zeros, Some(8)),
        packed(&zeros, None),
        [packed(&zeros, None), packed(&numbers, None)].concat(),
        packed(&numbers[..4], Some(8)),
        packed(&numbers, Some(9)),
        packed(&numbers, None)[..12].to_vec(),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = refusal(&file(body));
        assert!(refused.contains("not as long as its header says"), "{number}: {refused}");
    }
}

#[test]
fn values_made_of_those_before_them_are_decoded_a_few_at_a_time() {
    let survey = |per_value| Survey { rows: vec![4096], held: 1 << 20, stored: 1 << 10, per_value };
    assert_eq!(rows_at_once(&[survey(0)]), Ok(4096));
    assert_eq!(rows_at_once(&[survey(1 << 20), survey(0)]), Ok(15));
    assert_eq!(rows_at_once(&[survey(1 << 30)]), Ok(1));
    let large = |stored| Survey { held: 200 << 20, stored, ..Survey::default() };
    assert!(rows_at_once(&[large(4000)]).is_err());
    assert!(rows_at_once(&[large(4 << 20)]).is_ok());
    assert!(rows_at_once(&vec![large(200 << 20); 6]).is_err());
    // As many columns as a table can have.
    assert_eq!(rows_at_once(&vec![Survey::default(); 1600]), Ok(262));
}

#[test]
fn schemas_within_schemas_and_footers_of_any_length_are_refused() {
    let mut nested = vec![Thrift::default().text(4, "m").i32(1, 1)];
    nested.extend((0..300_000).map(|_| Thrift::default().i32(3, 0).text(1, "g").i32(1, 1)));
    let footer = |schema: Vec<Thrift>| {
        let mut footer = Thrift::default().i32(1, 1).objects(1, schema).i64(1, 0).objects(1, []);
        footer.0.push(0);
        sealed(b"PAR1".to_vec(), &footer.0)
    };
    assert!(refusal(&footer(nested)).contains("nested"));
    let wide = vec![Thrift::default().text(4, "m").i32(1, i64::from(i32::MAX))];
    assert!(refusal(&footer(wide)).contains("nested"));
    assert!(refusal(b"PAR1\xff\xff\xff\x7fPAR1").contains("no Parquet file"));
    assert!(refusal(b"").contains("no Parquet file"));
}

/// A file of texts and numbers as the library writes it.
pub(super) fn written(rows: i32, encoding: Encoding, compression: Compression, version_2: bool) -> Vec<u8> {
    let schema = "message m { optional int32 id; required binary body (STRING); }";
    let version = if version_2 {
        parquet::file::properties::WriterVersion::PARQUET_2_0
    } else {
        parquet::file::properties::WriterVersion::PARQUET_1_0
    };
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_writer_version(version)
        .set_bloom_filter_enabled(true)
        .set_bloom_filter_max_ndv(100)
        .set_dictionary_enabled(encoding == Encoding::RLE_DICTIONARY)
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(50);
    let properties = match encoding {
        Encoding::RLE_DICTIONARY => properties,
        encoding => properties.set_column_encoding("body".into(), encoding),
    };
    let schema = std::sync::Arc::new(parse_message_type(schema).expect("schema"));
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema, std::sync::Arc::new(properties.build())).expect("writer");
    for from in (0..rows).step_by(250) {
        let numbers: Vec<i32> = (from..rows.min(from + 250)).collect();
        let mut group = writer.next_row_group().expect("group");
        let mut ids = group.next_column().expect("column").expect("column");
        let levels: Vec<i16> = numbers.iter().map(|number| i16::from(number % 7 != 0)).collect();
        let there: Vec<i32> = numbers.iter().copied().filter(|number| number % 7 != 0).collect();
        ids.typed::<Int32Type>().write_batch(&there, Some(&levels), None).expect("write");
        ids.close().expect("close");
        let mut bodies = group.next_column().expect("column").expect("column");
        assert!(matches!(bodies.untyped(), ColumnWriter::ByteArrayColumnWriter(_)));
        let texts: Vec<ByteArray> = numbers.iter().map(|number| ByteArray::from(text_of(*number).as_str())).collect();
        bodies.typed::<ByteArrayType>().write_batch(&texts, None, None).expect("write");
        bodies.close().expect("close");
        group.close().expect("close");
    }
    writer.close().expect("close");
    bytes
}

fn text_of(number: i32) -> String {
    format!("a common beginning {}", "x".repeat(number as usize % 50))
}

#[test]
fn files_of_every_layout_are_read_whole_and_account_for_all_their_bytes() {
    let encodings =
        [Encoding::PLAIN, Encoding::RLE_DICTIONARY, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY];
    let compressions = [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::GZIP(GzipLevel::default())];
    let expected: Vec<String> = (0..700)
        .map(|number| match number % 7 {
            0 => format!("\\N\t{}", text_of(number)),
            _ => format!("{number}\t{}", text_of(number)),
        })
        .collect();
    for encoding in encodings {
        for compression in compressions {
            for version_2 in [false, true] {
                let bytes = written(700, encoding, compression, version_2);
                let (text, shape) = read(&bytes).unwrap_or_else(|error| panic!("{encoding} {compression}: {error}"));
                assert_eq!(String::from_utf8_lossy(&text).lines().collect::<Vec<_>>(), expected, "{encoding}");
                assert_eq!(shape.unnamed_bytes, 0, "{encoding} {compression} {version_2}");
            }
        }
    }
}
