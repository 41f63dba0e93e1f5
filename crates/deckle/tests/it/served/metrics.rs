//! What Prometheus finds.

use std::fs;
use std::process::Command;

use crate::server::{SERVE, Server};
use crate::world::World;

#[test]
fn what_happened_is_counted_under_names_that_no_caller_makes_up() {
    let mut world = World::nowhere("served_metrics");
    fs::write(world.home().join("deckle.toml"), "metrics = '127.0.0.1:0'\n").unwrap();
    let server = Server::start(&world, &format!("{SERVE} --config deckle.toml"));
    world.go_to(&server.url);
    let [id] = world.make("machine create --name first --template t0nspur5", ["ps"]);
    world.run(&format!("machine get {id}"));
    world.command("machine get ps0").output().unwrap();
    let url = server.said.lines().find_map(|line| line.strip_prefix("metrics on ")).unwrap();
    for strange in ["/v1/nothing/here", "/v1/machines/"] {
        assert!(!curl(&["-X", "BREW", &format!("{}{strange}", server.url)]).is_empty());
    }
    let text = curl(&["-i", url]);
    assert!(text.contains("content-type: text/plain; version=0.0.4"), "{text}");
    let requests = "deckle_http_requests_total{route=";
    for line in [
        &format!(r#"{requests}"/v1/machines",method="POST",status="200"}} 1"#),
        &format!(r#"{requests}"/v1/machines/{{id}}",method="GET",status="404"}} 1"#),
        &format!(r#"{requests}"none",method="other",status="404"}} 1"#),
        &format!(r#"{requests}"/v1/machines",method="other",status="405"}} 1"#),
        r#"deckle_http_request_duration_seconds_count{route="/v1/machines",method="POST"} 1"#,
        r#"deckle_http_request_duration_seconds_bucket{route="/v1/machines",method="POST",le="+Inf"} 1"#,
        "deckle_machine_events_open 0",
        r#"deckle_objects_unsettled{kind="machine"} 0"#,
        r#"deckle_objects_unsettled{kind="private network"} 0"#,
        "deckle_visits_waiting 0",
    ] {
        assert!(text.lines().any(|is| is == line), "{line} is not in\n{text}");
    }
    for name in ["deckle_visits_total{", "deckle_build_info{version=", "process_resident_memory_bytes "] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in\n{text}");
    }
    assert!(!text.contains(&id) && !text.contains("BREW") && !text.contains("nothing"), "{text}");
    assert!(!curl(&["-i", &format!("{}/metrics", server.url)]).contains("deckle_build_info"));
}

fn curl(args: &[&str]) -> String {
    let output = Command::new("curl").args(["-s", "--max-time", "30"]).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
