//! Runs faults and prints what came of them.

use std::{
    fmt::Write as _,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, stream};
use testkit::seed::Dice;

use super::{CATALOGUE, Fault};

/// The longest that one fault may take.
const LONGEST: Duration = Duration::from_secs(150);
/// Faults that are injected at once, each into a cluster of its own.
const AT_ONCE: usize = 2;

/// What came of one.
struct Row {
    fault: &'static Fault,
    seed: u64,
    took: Duration,
    observed: Result<String, String>,
}

async fn run(fault: &'static Fault, seed: u64) -> Row {
    let began = Instant::now();
    let running = AssertUnwindSafe(tokio::time::timeout(LONGEST, (fault.run)(seed)));
    let observed = match running.catch_unwind().await {
        Ok(Ok(Ok(seen))) => Ok(seen),
        Ok(Ok(Err(error))) => Err(format!("{error:#}")),
        Ok(Err(_)) => Err(format!("not over after {LONGEST:?}")),
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
fn seed() -> u64 {
    let given = std::env::var_os("CHAOS_SEED").and_then(|text| text.to_str()?.parse().ok());
    given.unwrap_or_else(Dice::fresh_seed)
}

/// Whether faults are run on purpose, on a machine that does nothing else.
pub fn is_chosen() -> bool {
    std::env::var_os("CHAOS").is_some()
}

/// The faults that `CHAOS` names: `all`, or numbers such as `F1,F8`. None where it is unset.
fn chosen() -> Vec<&'static Fault> {
    let Some(wish) = std::env::var_os("CHAOS") else { return Vec::new() };
    let wish = wish.into_string().expect("CHAOS is text");
    if wish == "all" {
        return CATALOGUE.iter().collect();
    }
    let find = |name: &str| {
        let fault = CATALOGUE.iter().find(|fault| fault.name.eq_ignore_ascii_case(name.trim()));
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
    assert!(CATALOGUE.windows(2).all(|pair| number(&pair[0]) < number(&pair[1])), "in order");
    let (faults, seed) = (chosen(), seed());
    if faults.is_empty() {
        return;
    }
    let (began, mut dice) = (Instant::now(), Dice::new(seed));
    let runs = faults.into_iter().map(|fault| {
        let seed = dice.roll();
        async move {
            let row = run(fault, seed).await;
            println!("{}", tell(&row));
            row
        }
    });
    let mut rows: Vec<Row> = stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    rows.sort_by_key(|row| number(row.fault));
    let failed = rows.iter().filter(|row| row.observed.is_err()).count();
    println!("\n{}", table(&rows));
    let seconds = began.elapsed().as_secs();
    println!("{} faults, {failed} failed, {seconds} s, CHAOS_SEED={seed}", rows.len());
    assert_eq!(failed, 0, "promises were broken");
}
