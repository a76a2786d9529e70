//! How an object was cut into parts, for checksums that are computed from the checksums of parts.
//!
//! `GetObjectAttributes` lists the parts where they were uploaded with checksums; `HeadObject` with a part number gives
//! the size of any one part. A server with neither leaves a guess by the sizes that common clients use.

use aws_sdk_s3::{Client, types::ObjectAttributes};

use crate::transfer::object::{ObjectEntry, Parts};

/// The most parts in Amazon S3.
const PARTS_MAX: u64 = 10_000;
const MIB: u64 = 1 << 20;
/// Part sizes in MiB of aws-cli and the SDKs, rclone, s5cmd and others, the likeliest first.
const COMMON_PARTS_MIB: [u64; 12] = [8, 5, 16, 10, 50, 15, 32, 64, 100, 128, 256, 512];

/// Queries how the object was cut into `count` parts.
pub async fn of(client: &Client, bucket: &str, entry: &ObjectEntry, count: u64) -> Result<Parts, String> {
    if !(1..=PARTS_MAX).contains(&count) {
        return Err(format!("the entity tag claims {count} parts"));
    }
    if count == 1 {
        return Ok(Parts::Listed(vec![entry.size]));
    }
    if let Some(sizes) = attributes(client, bucket, entry).await.filter(|sizes| fits(sizes, entry.size, count)) {
        return Ok(Parts::Listed(sizes));
    }
    if let Some(sizes) = heads(client, bucket, entry, count).await.filter(|sizes| fits(sizes, entry.size, count)) {
        return Ok(Parts::Listed(sizes));
    }
    guess(entry.size, count).map(Parts::Guessed).ok_or_else(|| "the provider does not list the parts".to_owned())
}

/// Only a list that accounts for every byte is valid.
fn fits(sizes: &[u64], size: u64, count: u64) -> bool {
    sizes.len() as u64 == count && sizes.iter().try_fold(0u64, |sum, part| sum.checked_add(*part)) == Some(size)
}

async fn attributes(client: &Client, bucket: &str, entry: &ObjectEntry) -> Option<Vec<u64>> {
    let mut sizes = Vec::new();
    let mut after = None;
    loop {
        let request = client.get_object_attributes().bucket(bucket).key(&entry.key);
        let request = request.set_version_id(entry.version_id.clone()).set_part_number_marker(after.clone());
        let answer = request.object_attributes(ObjectAttributes::ObjectParts).send().await.ok()?;
        let parts = answer.object_parts()?;
        for part in parts.parts() {
            sizes.push(u64::try_from(part.size()?).ok()?);
        }
        let next = parts.next_part_number_marker().map(str::to_owned);
        if parts.is_truncated() != Some(true) {
            return Some(sizes);
        }
        // A page that makes no progress would be requested forever.
        if next.is_none() || next == after || sizes.len() as u64 > PARTS_MAX {
            return None;
        }
        after = next;
    }
}

/// The last part is the remainder.
async fn heads(client: &Client, bucket: &str, entry: &ObjectEntry, count: u64) -> Option<Vec<u64>> {
    let mut sizes = Vec::new();
    for number in 1..count {
        let request = client.head_object().bucket(bucket).key(&entry.key).set_version_id(entry.version_id.clone());
        let answer = request.part_number(i32::try_from(number).ok()?).send().await.ok()?;
        // A server that ignores the part number returns the whole object.
        if answer.parts_count().and_then(|parts| u64::try_from(parts).ok()) != Some(count) {
            return None;
        }
        sizes.push(u64::try_from(answer.content_length()?).ok()?);
    }
    let before: u64 = sizes.iter().sum();
    sizes.push(entry.size.checked_sub(before)?);
    Some(sizes)
}

/// A common part size that gives this number of parts.
fn guess(size: u64, count: u64) -> Option<u64> {
    COMMON_PARTS_MIB.into_iter().map(|mib| mib * MIB).find(|part| size.div_ceil(*part) == count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_accounts_for_every_byte() {
        assert!(fits(&[5, 4], 9, 2));
        assert!(!fits(&[5, 5], 9, 2) && !fits(&[9], 9, 2) && !fits(&[u64::MAX, 10], 9, 2));
    }

    #[test]
    fn the_likeliest_fitting_size_is_guessed() {
        assert_eq!(guess(20 * MIB, 3), Some(8 * MIB));
        assert_eq!(guess(20 * MIB, 4), Some(5 * MIB));
        assert_eq!(guess(20 * MIB, 7), None);
    }
}
