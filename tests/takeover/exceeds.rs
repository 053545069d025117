//! Whether counts of losses are more than chance makes of a floor.

/// The chance that, of all the counts here, so many drawn blindly sum up to what the suspects do or
/// more, if suspects and floor come from the same source.
///
/// Losses are few and come in clusters: who is put off the processor between two steps of the
/// kernel loses several packets at once. So no distribution is assumed, neither Poisson's nor
/// another one. If a cycle of the suspect loses what a bare one does, any assignment of the counts
/// to the two is as probable as any other one (an exact permutation test, R. A. Fisher 1935). A
/// suspect that always loses more than the floor ever does is found out with five cycles among
/// sixty: the chance is one in eight million then.
pub(crate) fn chance(suspects: &[u64], floor: &[u64]) -> f64 {
    let all: Vec<u64> = suspects.iter().chain(floor).copied().collect();
    let most = all.iter().sum::<u64>() as usize;
    // ways[n][s]: in how many ways n of the counts looked at so far sum up to s.
    let mut ways = vec![vec![0.0_f64; most + 1]; suspects.len() + 1];
    ways[0][0] = 1.0;
    for count in all.iter().map(|count| *count as usize) {
        for n in (1..=suspects.len()).rev() {
            for sum in (count..=most).rev() {
                ways[n][sum] += ways[n - 1][sum - count];
            }
        }
    }
    let drawn = &ways[suspects.len()];
    let observed = suspects.iter().sum::<u64>() as usize;
    drawn[observed..].iter().sum::<f64>() / drawn.iter().sum::<f64>()
}

#[test]
fn chances_are_those_that_can_be_counted() {
    // Of the ten pairs of five, one sums up to 9, and two to 8 or more.
    assert_eq!(chance(&[4, 5], &[1, 2, 3]), 0.1);
    assert_eq!(chance(&[3, 5], &[1, 2, 4]), 0.2);
    assert_eq!(chance(&[0, 0], &[1, 2, 3]), 1.0);
    assert_eq!(chance(&[0; 5], &[0; 60]), 1.0);
}

#[test]
fn one_who_loses_more_is_found_out_and_one_who_loses_the_same_is_not() {
    let floor: Vec<u64> = (0..60).map(|n| if n % 20 == 0 { 9 } else { n % 3 / 2 }).collect();
    assert!(chance(&[20, 12, 31, 18, 25], &floor) < 1e-6);
    assert!(chance(&[0, 9, 1, 0, 0], &floor) > 0.05);
}
