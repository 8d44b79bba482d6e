//! The targets that are asked themselves, all at once, each again where it is not up.

use futures_util::StreamExt;
use tokio::time::{Instant, sleep};
use zv_probe::{Target, Verdict, lanes};

use super::args::{HealthCheckArgs, Plan};
use super::finding::Finding;

/// How many are asked at the same moment.
const LIMIT: usize = 64;

/// Runs all probes; returns the findings with their places.
pub(super) async fn run(
    plan: &Plan,
    probes: &[(usize, Target)],
    args: &HealthCheckArgs,
    deadline: Instant,
) -> Vec<(usize, Finding)> {
    let jobs = probes.iter().map(|(place, target)| async move {
        let finding = Box::pin(attempts(plan, target, args, deadline)).await;
        (*place, finding)
    });
    lanes::run(jobs, LIMIT).map(|(_, found)| found).collect().await
}

async fn attempts(plan: &Plan, target: &Target, args: &HealthCheckArgs, deadline: Instant) -> Finding {
    let mut attempt = 1;
    loop {
        let report = plan.prober.run(target, deadline).await;
        let is_well = matches!(report.verdict, Verdict::Up | Verdict::Degraded);
        if is_well || attempt > args.retries || Instant::now() + args.retry_pause >= deadline {
            return Finding::probed(&target.name, report, attempt);
        }
        sleep(args.retry_pause).await;
        attempt += 1;
    }
}
