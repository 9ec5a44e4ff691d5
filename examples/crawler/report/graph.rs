//! Who links to whom, and how much that says of each.

use rayon::iter::{
    IndexedParallelIterator, IntoParallelIterator, IntoParallelRefIterator, ParallelIterator,
};

/// How likely a reader follows a link, rather than begin anywhere.
const DAMPING: f64 = 0.85;
const MOST_ROUNDS: usize = 100;
/// The change of all ranks together that no longer matters.
const PRECISION: f64 = 1e-6;

pub struct Graph {
    into: Vec<Vec<u32>>,
    /// Links of each page to others.
    out: Vec<u32>,
}

impl Graph {
    /// Of `pages`, and links from one to another; the same link counts once, that to the page itself does not.
    pub fn new(pages: usize, mut links: Vec<(u32, u32)>) -> Self {
        links.retain(|(from, to)| from != to);
        links.sort_unstable();
        links.dedup();
        let (mut into, mut out) = (vec![Vec::new(); pages], vec![0; pages]);
        for (from, to) in links {
            into[to as usize].push(from);
            out[from as usize] += 1;
        }
        Self { into, out }
    }

    /// The pages that link to this one.
    pub fn referrers(&self, page: usize) -> &[u32] {
        &self.into[page]
    }

    /// PageRank: where a reader is who follows links without an end. All of them together are 1.
    pub fn ranks(&self) -> Vec<f64> {
        let pages = self.into.len() as f64;
        let mut ranks = vec![1.0 / pages; self.into.len()];
        for _ in 0..MOST_ROUNDS {
            let ends = ranks
                .par_iter()
                .zip(&self.out)
                .filter(|(_, out)| **out == 0);
            let lost: f64 = ends.map(|(rank, _)| rank).sum();
            let anywhere = (1.0 - DAMPING + DAMPING * lost) / pages;
            let next = self.into.par_iter().map(|from| {
                let shares = from.iter().map(|&page| page as usize);
                let shares = shares.map(|page| ranks[page] / f64::from(self.out[page]));
                anywhere + DAMPING * shares.sum::<f64>()
            });
            let next: Vec<f64> = next.collect();
            let changes = (&next).into_par_iter().zip(&ranks);
            let change: f64 = changes.map(|(new, old)| (new - old).abs()).sum();
            ranks = next;
            if change < PRECISION {
                break;
            }
        }
        ranks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_worth_what_those_are_that_link_to_it() {
        // All link to 0, which links to 1; 3 is linked by nobody and links twice, once to itself.
        let graph = Graph::new(
            4,
            vec![(0, 1), (1, 0), (2, 0), (3, 0), (3, 3), (3, 2), (3, 2)],
        );
        assert_eq!(graph.referrers(0), [1, 2, 3]);
        assert_eq!(graph.referrers(2), [3]);
        let ranks = graph.ranks();
        assert!((ranks.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        assert!(ranks[0] > ranks[1] && ranks[1] > ranks[2] && ranks[2] > ranks[3]);
        assert!((ranks[3] - 0.15 / 4.0).abs() < 1e-6);
    }

    #[test]
    fn pages_without_links_are_alike() {
        assert_eq!(Graph::new(2, Vec::new()).ranks(), [0.5, 0.5]);
        assert!(Graph::new(0, Vec::new()).ranks().is_empty());
    }
}
