//! Log lines through the API: over restarts of the replica, and over connections that break.

use futures_util::StreamExt;
use tokio::time::timeout;
use zv_api::{Action, LogQuery};

use super::rig::{PATIENCE, Place, request, shell};

/// Writes numbered lines, and goes on with the number after a restart.
const COUNTER: &str = "n=$(cat n-$REPLICA 2>/dev/null || echo 0); while :; do n=$((n+1)); echo $n > n-$REPLICA; \
     echo line $n; [ $((n % 50)) = 0 ] && sleep 0.1; done";

/// Returns the number of a line; what the shell says of a signal has none.
fn number_of(line: &str) -> Option<u64> {
    line.strip_prefix("line ")?.parse().ok()
}

#[tokio::test]
async fn no_line_is_lost_or_repeated_over_restarts_and_broken_connections() {
    let script = COUNTER.replace("$REPLICA", "$PORT");
    // A short line of `trap` keeps a line and its number together.
    let script = format!("trap 'stop=1' TERM; {}", script.replace("while :", "while [ -z \"$stop\" ]"));
    let place = Place::of_stack(&shell("api", &script, "restart: always"));
    let agent = place.start().await;
    agent.until_running("api", 1).await;
    let query = LogQuery { services: vec!["api".to_owned()], follow: true, ..LogQuery::default() };
    let mut cursor: Option<String> = None;
    let mut numbers = Vec::new();
    for round in 0..6 {
        // Each connection ends in the middle; between two of them the replica may be a new process.
        let client = agent.client.clone();
        let restarting = async {
            if round % 2 == 0 {
                client.act(&request(Action::Restart, "api"), PATIENCE).await.unwrap();
            }
        };
        let reading = async {
            let mut lines = agent.client.logs(&query, cursor.as_deref()).await.unwrap();
            for _ in 0..150 {
                let entry = timeout(PATIENCE, lines.next()).await.expect("lines go on").unwrap().unwrap();
                numbers.extend(number_of(&entry.line.text));
                cursor = Some(entry.cursor);
            }
        };
        tokio::join!(restarting, reading);
    }
    let first = numbers[0];
    let expected: Vec<u64> = (first..first + numbers.len() as u64).collect();
    assert_eq!(numbers, expected);

    // The same from the start, in one piece, and no further.
    let query = LogQuery { follow: false, ..query };
    let lines = agent.client.logs(&query, None).await.unwrap();
    let whole: Vec<String> = lines.map(|entry| entry.unwrap().line.text).collect().await;
    let whole: Vec<u64> = whole.iter().filter_map(|line| number_of(line)).collect();
    assert_eq!(whole, (1..=whole.len() as u64).collect::<Vec<_>>());
    assert!(whole.len() >= numbers.len());
}
