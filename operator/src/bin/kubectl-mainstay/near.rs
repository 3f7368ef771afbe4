//! Names that somebody may have meant.

/// Names that are offered at most.
const OFFERED: usize = 3;

/// The names nearest to one that does not exist, the nearest first; none where all are far.
pub(crate) fn nearest(name: &str, there: &[String]) -> Vec<String> {
    // A third of the letters may be wrong, and at least two: more is another word.
    let limit = (name.chars().count() / 3).max(2);
    let contains = |other: &str| name.len() > 2 && (other.contains(name) || name.contains(other));
    let mut near: Vec<(usize, &String)> = there
        .iter()
        .map(|other| (distance(name, other), other))
        .filter(|(distance, other)| (*distance <= limit && *distance < other.chars().count()) || contains(other))
        .collect();
    near.sort();
    near.into_iter().take(OFFERED).map(|(_, other)| other.clone()).collect()
}

/// How many letters must be changed, added, taken away or exchanged with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && Some(x) == b.get(j - 1) && a.get(i - 1) == Some(y);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, d) in [("cv", "cv", 0), ("cv", "vc", 1), ("", "abc", 3), ("grafana", "grafna", 1), ("kitten", "sitting", 3)] {
            assert_eq!((distance(a, b), distance(b, a)), (d, d), "{a} {b}");
        }
    }

    #[test]
    fn only_what_is_near_is_offered() {
        let there: Vec<String> = ["greeter", "hello", "nettest", "noversion", "cv"].map(str::to_owned).into();
        assert_eq!(nearest("gretter", &there), ["greeter"]);
        assert_eq!(nearest("helo", &there), ["hello"]);
        assert_eq!(nearest("net", &there), ["nettest"]);
        assert_eq!(nearest("vc", &there), ["cv"]);
        assert!(nearest("prometheus", &there).is_empty());
        assert!(nearest("xy", &there).is_empty());
    }
}
