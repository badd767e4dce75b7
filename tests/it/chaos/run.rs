//! Runs faults and prints what came of them.

use std::{
    fmt::Write as _,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, stream};
use testkit::seed::Dice;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{CATALOGUE, Fault, SIZES};

/// The longest that one fault may take.
const LONGEST: Duration = Duration::from_secs(150);
/// The longest that one may take at full size.
const LONGEST_AT_SIZE: Duration = Duration::from_secs(420);
/// Faults that are injected at once, each into a cluster of its own.
const AT_ONCE: usize = 2;
/// Room for so many in this process, however many tests run at once: more would measure each other.
static PLACES: Semaphore = Semaphore::const_new(AT_ONCE);

/// What came of one.
struct Row {
    fault: &'static Fault,
    seed: u64,
    took: Duration,
    observed: Result<String, String>,
}

/// Waits for room for another; the wait counts for nothing.
pub async fn place() -> SemaphorePermit<'static> {
    PLACES.acquire().await.expect("never closed")
}

async fn run(fault: &'static Fault, seed: u64) -> Row {
    let _place = place().await;
    let began = Instant::now();
    let longest = if fault.name.starts_with('S') { LONGEST_AT_SIZE } else { LONGEST };
    let running = AssertUnwindSafe(tokio::time::timeout(longest, (fault.run)(seed)));
    let observed = match running.catch_unwind().await {
        Ok(Ok(Ok(seen))) => Ok(seen),
        Ok(Ok(Err(error))) => Err(format!("{error:#}")),
        Ok(Err(_)) => Err(format!("not over after {longest:?}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(text.unwrap_or_else(|| "it panicked".to_owned()))
        }
    };
    Row { fault, seed, took: began.elapsed(), observed }
}

/// One fault as a test of its own.
pub async fn alone(name: &str) {
    let fault = CATALOGUE.iter().find(|fault| fault.name == name).expect("a fault of that name");
    let row = run(fault, seed()).await;
    if let Err(wrong) = row.observed {
        panic!("{name}, seed {}: {wrong}", row.seed);
    }
}

/// The seed of the whole run; `CHAOS_SEED` repeats another's.
pub fn seed() -> u64 {
    let given = std::env::var_os("CHAOS_SEED").and_then(|text| text.to_str()?.parse().ok());
    given.unwrap_or_else(Dice::fresh_seed)
}

/// Whether faults are run on purpose, on a machine that does nothing else.
pub fn is_chosen() -> bool {
    std::env::var_os("CHAOS").is_some()
}

/// The faults that `CHAOS` names: `all`, or names such as `F1,S3`. None where it is unset.
fn chosen() -> Vec<&'static Fault> {
    let Some(wish) = std::env::var_os("CHAOS") else { return Vec::new() };
    let wish = wish.into_string().expect("CHAOS is text");
    if wish == "all" {
        return CATALOGUE.iter().chain(SIZES).collect();
    }
    let find = |name: &str| {
        let mut all = CATALOGUE.iter().chain(SIZES);
        let fault = all.find(|fault| fault.name.eq_ignore_ascii_case(name.trim()));
        fault.unwrap_or_else(|| panic!("there is no fault {name}"))
    };
    wish.split(',').map(find).collect()
}

fn tell(row: &Row) -> String {
    let (verdict, seen) = match &row.observed {
        Ok(seen) => ("ok  ", seen.as_str()),
        Err(wrong) => ("FAIL", wrong.as_str()),
    };
    let Fault { name, injected, expected, .. } = row.fault;
    let seconds = row.took.as_secs_f64();
    format!("{verdict} {name:<4} {seconds:>6.1} s  {injected} | {expected} | {seen}")
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| fault | injected | expected | observed | seconds | verdict |\n");
    text += "|---|---|---|---|---|---|\n";
    for Row { fault, took, observed, .. } in rows {
        let Fault { name, injected, expected, .. } = fault;
        let (seen, verdict) = match observed {
            Ok(seen) => (seen.as_str(), "ok"),
            Err(wrong) => (wrong.lines().next().unwrap_or_default(), "**FAIL**"),
        };
        let seconds = took.as_secs_f64();
        let line =
            format!("| {name} | {injected} | {expected} | {seen} | {seconds:.1} | {verdict} |");
        writeln!(text, "{line}").expect("a string takes all");
    }
    text
}

/// The catalogue is in order; and whatever `CHAOS` names runs, with a table of what came of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_chosen_fault() {
    let number = |fault: &Fault| fault.name[1..].parse::<u32>().expect("F and a number");
    let in_order = |list: &[Fault]| list.windows(2).all(|two| number(&two[0]) < number(&two[1]));
    assert!(in_order(CATALOGUE) && in_order(SIZES), "in order");
    let (faults, seed) = (chosen(), seed());
    if faults.is_empty() {
        return;
    }
    let (began, mut dice) = (Instant::now(), Dice::new(seed));
    let seeded: Vec<_> = faults.into_iter().map(|fault| (fault, dice.roll())).collect();
    let (large, small): (Vec<_>, Vec<_>) =
        seeded.into_iter().partition(|(fault, _)| fault.name.starts_with('S'));
    let mut rows: Vec<Row> = Vec::new();
    for (faults, at_once) in [(small, AT_ONCE), (large, 1)] {
        let runs = faults.into_iter().map(async |(fault, seed)| {
            let row = run(fault, seed).await;
            println!("{}", tell(&row));
            row
        });
        rows.extend(stream::iter(runs).buffer_unordered(at_once).collect::<Vec<_>>().await);
    }
    rows.sort_by_key(|row| (row.fault.name.starts_with('S'), number(row.fault)));
    let failed = rows.iter().filter(|row| row.observed.is_err()).count();
    println!("\n{}", table(&rows));
    let seconds = began.elapsed().as_secs();
    println!("{} faults, {failed} failed, {seconds} s, CHAOS_SEED={seed}", rows.len());
    assert_eq!(failed, 0, "promises were broken");
}
