//! Reads a block's index: texts at once when they are needed, the rest by place.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use zv_model::SelectError;

use super::layout::{Entry, PARTS, Parts, VALUE};
use crate::bytes::Bytes;
use crate::crc::Crc;
use crate::files::{Handle, read_part};
use crate::select::united;
use crate::sync::lock;

/// Where more than one of so many series is wanted, all entries are read at once.
const MANY: usize = 8;
/// What is read at once to check the whole file.
const PORTION: usize = 64 << 10;

/// An index that is open.
#[derive(Debug)]
pub(super) struct IndexReader {
    file: Arc<dyn Handle>,
    parts: Parts,
    /// Kept from one query to the next, until nobody asked for a while.
    symbols: Mutex<Option<Arc<Symbols>>>,
}

/// All texts of a block, in their order.
#[derive(Debug)]
pub(super) struct Symbols {
    places: Vec<u32>,
    text: String,
}

impl Symbols {
    pub(super) fn get(&self, number: u32) -> Option<&str> {
        let place = number as usize;
        let range = *self.places.get(place)? as usize..*self.places.get(place + 1)? as usize;
        self.text.get(range)
    }

    pub(super) fn len(&self) -> u32 {
        self.places.len() as u32 - 1
    }

    /// Returns the number of the first text that is not less.
    fn first_not_less(&self, text: &str) -> u32 {
        let numbers: Range<u32> = 0..self.len();
        let (mut low, mut high) = (numbers.start, numbers.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(|other| other < text) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn find(&self, text: &str) -> Option<u32> {
        let number = self.first_not_less(text);
        (self.get(number)? == text).then_some(number)
    }
}

/// A value of a label and where its postings are.
#[derive(Debug, Clone, Copy)]
struct Value {
    name: u32,
    value: u32,
    place: u32,
    count: u32,
}

impl IndexReader {
    /// Opens an index whose checksum is known. Nothing where it is not what was written.
    pub(super) fn open(file: Arc<dyn Handle>, bytes: u64, crc: u32) -> io::Result<Option<Self>> {
        if file.len()? != bytes || bytes < PARTS as u64 {
            return Ok(None);
        }
        let mut sum = Crc::default();
        let mut at = 0;
        while at < bytes {
            let part = read_part(&*file, at, PORTION)?;
            sum.add(&part);
            at += part.len() as u64;
        }
        let end = bytes - PARTS as u64;
        let parts = Parts::read(&read_part(&*file, end, PARTS)?);
        let parts = parts.filter(|parts| sum.value() == crc && parts.end == end);
        Ok(parts.map(|parts| Self { file, parts, symbols: Mutex::default() }))
    }

    /// Returns all texts.
    pub(super) fn symbols(&self) -> Result<Arc<Symbols>, SelectError> {
        if let Some(symbols) = &*lock(&self.symbols) {
            return Ok(Arc::clone(symbols));
        }
        let parts = &self.parts;
        let places = numbers(&self.part(parts.symbol_places, parts.symbols)?);
        let text = self.part(parts.symbols, parts.series_places)?;
        let text = String::from_utf8(text).map_err(|_| broken())?;
        let symbols = Arc::new(Symbols { places, text });
        *lock(&self.symbols) = Some(Arc::clone(&symbols));
        Ok(symbols)
    }

    /// Gives back the memory of texts that nobody asks for.
    pub(super) fn rest(&self) {
        *lock(&self.symbols) = None;
    }

    pub(super) fn series_count(&self) -> u32 {
        ((self.parts.series - self.parts.series_places) / 4 - 1) as u32
    }

    /// Returns the names of all labels.
    pub(super) fn names(&self) -> Result<Vec<Arc<str>>, SelectError> {
        let symbols = self.symbols()?;
        let mut names: Vec<u32> =
            self.values(0..self.value_count())?.iter().map(|value| value.name).collect();
        names.dedup();
        Ok(names.into_iter().filter_map(|name| symbols.get(name)).map(Arc::from).collect())
    }

    /// Returns the values of a label that begin so.
    pub(super) fn values_of(&self, name: &str, prefix: &str) -> Result<Vec<Arc<str>>, SelectError> {
        let symbols = self.symbols()?;
        let Some(name) = symbols.find(name) else { return Ok(Vec::new()) };
        let first = self.first_not_less(name, symbols.first_not_less(prefix))?;
        let end = self.first_not_less(name + 1, 0)?;
        let values = self.values(first..end)?;
        let texts = values.iter().filter_map(|value| symbols.get(value.value));
        Ok(texts.take_while(|text| text.starts_with(prefix)).map(Arc::from).collect())
    }

    /// Returns the series that have one of these values.
    pub(super) fn series_with(&self, name: &str, values: &[&str]) -> Result<Vec<u32>, SelectError> {
        let symbols = self.symbols()?;
        let Some(name) = symbols.find(name) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for text in values {
            let Some(value) = symbols.find(text) else { continue };
            let place = self.first_not_less(name, value)?;
            let there = self.values(place..(place + 1).min(self.value_count()))?;
            let Some(there) = there.first().filter(|there| (there.name, there.value) == (name, value)) else {
                continue;
            };
            self.postings(there, &mut found)?;
        }
        Ok(united(found, values.len()))
    }

    fn postings(&self, value: &Value, out: &mut Vec<u32>) -> Result<(), SelectError> {
        let from = self.parts.postings + u64::from(value.place);
        // A number takes five bytes at most; more than there is is not read.
        let to = (from + u64::from(value.count) * 5).min(self.parts.values);
        let bytes = self.part(from.min(to), to)?;
        let mut bytes = Bytes::new(&bytes);
        let (mut number, count) = (0_u64, self.series_count());
        for _ in 0..value.count {
            number = number.saturating_add(bytes.number().ok_or_else(broken)?);
            let series = u32::try_from(number).ok().filter(|series| *series < count);
            out.push(series.ok_or_else(broken)?);
        }
        Ok(())
    }

    /// Hands the entries of these series to `each`; they rise.
    pub(super) fn entries(&self, series: &[u32], mut each: impl FnMut(Entry)) -> Result<(), SelectError> {
        let (Some(first), Some(last)) = (series.first(), series.last()) else { return Ok(()) };
        let places_at = self.parts.series_places + u64::from(*first) * 4;
        let places = numbers(&self.part(places_at, places_at + u64::from(last - first + 2) * 4)?);
        let place = |number: u32| places.get(number as usize).copied().map(u64::from).ok_or_else(broken);
        let is_many = series.len() * MANY > (last - first) as usize;
        let (mut begin, mut all) = (0, Vec::new());
        if is_many {
            begin = place(0)?;
            all = self.part(self.parts.series + begin, self.parts.series + place(last - first + 1)?)?;
        }
        for number in series {
            let (from, to) = (place(number - first)?, place(number - first + 1)?);
            let one;
            let bytes = if is_many {
                all.get((from - begin) as usize..(to - begin) as usize).ok_or_else(broken)?
            } else {
                one = self.part(self.parts.series + from, self.parts.series + to)?;
                &one
            };
            each(Entry::read(&mut Bytes::new(bytes)).ok_or_else(broken)?);
        }
        Ok(())
    }

    fn value_count(&self) -> u32 {
        ((self.parts.end - self.parts.values) / VALUE as u64) as u32
    }

    /// Returns the place of the first value that is not less than this one of this name.
    fn first_not_less(&self, name: u32, value: u32) -> Result<u32, SelectError> {
        let (mut low, mut high) = (0, self.value_count());
        while low < high {
            let middle = low + (high - low) / 2;
            let there = self.values(middle..middle + 1)?;
            let is_less = there.first().is_some_and(|there| (there.name, there.value) < (name, value));
            if is_less { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    fn values(&self, places: Range<u32>) -> Result<Vec<Value>, SelectError> {
        let at = |place: u32| self.parts.values + u64::from(place) * VALUE as u64;
        let bytes = self.part(at(places.start), at(places.end.max(places.start)))?;
        let (values, _) = bytes.as_chunks::<VALUE>();
        let value = |bytes: &[u8; VALUE]| {
            let mut bytes = Bytes::new(bytes);
            let (name, value) = (bytes.u32()?, bytes.u32()?);
            Some(Value { name, value, place: bytes.u32()?, count: bytes.u32()? })
        };
        Ok(values.iter().filter_map(value).collect())
    }

    fn part(&self, from: u64, to: u64) -> Result<Vec<u8>, SelectError> {
        if to < from || to > self.parts.end {
            return Err(broken());
        }
        let mut bytes = vec![0; (to - from) as usize];
        self.file.read_exact_at(&mut bytes, from).map_err(|cause| SelectError::Unreadable {
            reason: "the index of a block".to_owned(),
            cause: Some(Arc::new(cause)),
        })?;
        Ok(bytes)
    }
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    let (fours, _) = bytes.as_chunks::<4>();
    fours.iter().map(|four| u32::from_le_bytes(*four)).collect()
}

fn broken() -> SelectError {
    SelectError::Unreadable { reason: "the index of a block is not what was written".to_owned(), cause: None }
}

/// Asks an index everything. The last bytes say where its parts are, or it would not be opened.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_index(data: &[u8]) {
    let crc = crate::crc::crc32c(data);
    let file = Arc::new(crate::head::Heap::of(data.to_vec()));
    let Ok(Some(index)) = IndexReader::open(file, data.len() as u64, crc) else { return };
    let all: Vec<u32> = (0..index.series_count()).collect();
    let _ = index.entries(&all, |entry| assert!(entry.labels.len() <= data.len()));
    for name in index.names().unwrap_or_default() {
        let values = index.values_of(&name, "").unwrap_or_default();
        let values: Vec<&str> = values.iter().map(|value| &**value).collect();
        let found = index.series_with(&name, &values).unwrap_or_default();
        assert!(found.iter().all(|series| *series < index.series_count()));
    }
}
