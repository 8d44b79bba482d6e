//! Which series matchers accept, asked of an index: the same for the head and for blocks.

use std::sync::Arc;

use zv_model::{MatchOp, Matcher};

/// What an index can be asked. Series are numbers, in rising order.
pub(crate) trait Lookup {
    type Fault;

    /// Returns all series.
    fn all(&self) -> Result<Vec<u32>, Self::Fault>;
    /// Returns the values of a label that begin so.
    fn values(&self, name: &str, prefix: &str) -> Result<Vec<Arc<str>>, Self::Fault>;
    /// Returns the series that have one of these values.
    fn series(&self, name: &str, values: &[&str]) -> Result<Vec<u32>, Self::Fault>;
}

/// Returns the series that every matcher accepts.
pub(crate) fn select<L: Lookup>(index: &L, matchers: &[Matcher]) -> Result<Vec<u32>, L::Fault> {
    let mut found: Option<Vec<u32>> = None;
    // What names its values first: it is cheap and leaves little.
    let (accepting_empty, mut others): (Vec<&Matcher>, Vec<&Matcher>) =
        matchers.iter().partition(|matcher| matcher.accepts(""));
    others.sort_by_key(|matcher| matcher.accepted_values().is_none());
    for matcher in others {
        let series = match matcher.accepted_values() {
            Some(values) => index.series(&matcher.name, &values)?,
            None => {
                let values = index.values(&matcher.name, matcher.prefix())?;
                let wanted: Vec<&str> =
                    values.iter().map(|value| &**value).filter(|value| matcher.accepts(value)).collect();
                index.series(&matcher.name, &wanted)?
            }
        };
        let left = match found {
            Some(found) => common(&found, &series),
            None => series,
        };
        if left.is_empty() {
            return Ok(left);
        }
        found = Some(left);
    }
    let mut found = match found {
        Some(found) => found,
        None => index.all()?,
    };
    // Those accept series without the label: what has a refused value is taken away.
    for matcher in accepting_empty {
        let refused = if matcher.op == MatchOp::NotEqual {
            index.series(&matcher.name, &[&matcher.value])?
        } else {
            let values = index.values(&matcher.name, "")?;
            let refused: Vec<&str> =
                values.iter().map(|value| &**value).filter(|value| !matcher.accepts(value)).collect();
            index.series(&matcher.name, &refused)?
        };
        found = without(&found, &refused);
    }
    Ok(found)
}

/// Makes one rising row of several.
pub(crate) fn united(mut rows: Vec<u32>, count: usize) -> Vec<u32> {
    if count > 1 {
        rows.sort_unstable();
        rows.dedup();
    }
    rows
}

fn common(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if few.len() * 16 < many.len() {
        return few.iter().copied().filter(|series| many.binary_search(series).is_ok()).collect();
    }
    let mut many = many.iter().copied().peekable();
    let is_there = |series: &u32| {
        while many.next_if(|other| other < series).is_some() {}
        many.peek() == Some(series)
    };
    few.iter().copied().filter(is_there).collect()
}

fn without(from: &[u32], what: &[u32]) -> Vec<u32> {
    let mut what = what.iter().copied().peekable();
    let stays = |series: &u32| {
        while what.next_if(|other| other < series).is_some() {}
        what.peek() != Some(series)
    };
    from.iter().copied().filter(stays).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_combined() {
        let many: Vec<u32> = (0..100).collect();
        assert_eq!(common(&[1, 3, 5], &[2, 3, 4, 5]), [3, 5]);
        assert_eq!(common(&[1, 300], &many), [1]);
        assert_eq!(without(&[1, 2, 3, 9], &[0, 2, 9]), [1, 3]);
        assert_eq!(united(vec![3, 4, 1, 3], 2), [1, 3, 4]);
    }
}
