//! Large disks in no time: every cluster of them is mapped, in order or in none, and holds nothing.
//!
//! What a snapshot costs depends on how many clusters are mapped and on where, not on what is in them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// As the Linux engine lays disks out.
pub const LAYOUT: &str = "compat=1.1,cluster_size=256k,extended_l2=on";
/// As `qemu-img` lays them out when it is not told.
pub const PLAIN: &str = "compat=1.1,cluster_size=64k";

const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const ALL_PARTS: u64 = 0xffff_ffff;
const SUBCLUSTERS: u64 = 1 << 4;

/// In which order a disk was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Sequential,
    Random,
}

/// Makes a disk of that size with every cluster mapped.
pub fn make(file: &Path, gib: u64, layout: &str, order: Order) -> Result<()> {
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-o", &format!("{layout},preallocation=metadata")])
        .arg(file)
        .arg(format!("{gib}G"))
        .status()
        .context("start qemu-img")?;
    ensure!(made.success(), "qemu-img made no {}", file.display());
    let file = File::options().read(true).write(true).open(file)?;
    let mut tables = Tables::read(&file)?;
    if order == Order::Random {
        tables.shuffle();
    }
    tables.write(&file)
}

/// The tables that say where each cluster lies.
struct Tables {
    tables: Vec<(u64, Vec<u64>)>,
    /// How many words an entry has.
    words: usize,
}

impl Tables {
    fn read(file: &File) -> Result<Self> {
        let mut head = [0; 104];
        file.read_exact_at(&mut head, 0)?;
        let long = |at: usize| u64::from_be_bytes(head[at..at + 8].try_into().unwrap_or_default());
        let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap_or_default());
        let words = if long(72) & SUBCLUSTERS == 0 { 1 } else { 2 };
        let mut tables = Vec::new();
        for entry in numbers(file, long(40), word(36) as usize)? {
            if entry & OFFSET != 0 {
                let at = entry & OFFSET;
                tables.push((at, numbers(file, at, (1 << word(20)) / 8)?));
            }
        }
        Ok(Self { tables, words })
    }

    /// Exchanges the places of clusters, the same way each time.
    fn shuffle(&mut self) {
        let words = self.words;
        let entries = self.tables.iter_mut().flat_map(|(_, table)| table.chunks_mut(words));
        let mut entries: Vec<&mut u64> = entries.map(|entry| &mut entry[0]).filter(|it| **it != 0).collect();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for last in (1..entries.len()).rev() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (left, right) = entries.split_at_mut(last);
            let chosen = (random % (last as u64 + 1)) as usize;
            if chosen < last {
                std::mem::swap(left[chosen], right[0]);
            }
        }
    }

    /// Puts the tables back, with every part of every cluster said to be written.
    fn write(self, file: &File) -> Result<()> {
        for (at, mut table) in self.tables {
            if self.words == 2 {
                for entry in table.chunks_mut(2).filter(|entry| entry[0] != 0) {
                    entry[1] = ALL_PARTS;
                }
            }
            let bytes: Vec<u8> = table.iter().flat_map(|number| number.to_be_bytes()).collect();
            file.write_all_at(&bytes, at)?;
        }
        Ok(())
    }
}

fn numbers(file: &File, at: u64, count: usize) -> Result<Vec<u64>> {
    let mut bytes = vec![0; count * 8];
    file.read_exact_at(&mut bytes, at)?;
    let number = |chunk: &[u8]| u64::from_be_bytes(chunk.try_into().unwrap_or_default());
    Ok(bytes.chunks(8).map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_loses_no_cluster() {
        let table: Vec<u64> = (1..=1000).flat_map(|number| [number << 20, 0]).collect();
        let mut tables = Tables { tables: vec![(0, table.clone())], words: 2 };
        tables.shuffle();
        let shuffled = &tables.tables[0].1;
        assert_ne!(*shuffled, table);
        let mut places: Vec<u64> = shuffled.chunks(2).map(|entry| entry[0]).collect();
        places.sort_unstable();
        assert_eq!(places, table.chunks(2).map(|entry| entry[0]).collect::<Vec<_>>());
        assert!(shuffled.chunks(2).all(|entry| entry[1] == 0));
    }
}
