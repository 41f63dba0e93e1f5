//! A real VNC client: Net::VNC, of Debian's `libnet-vnc-perl`. Other crates' tests include this file.

use std::net::SocketAddr;
use std::process::Command;

/// Logs in, takes one frame, and says how many colours are in it. `EMPTY` stands for no password at all.
const VIEWER: &str = r#"
    my ($host, $port, $password) = @ARGV;
    $password = "\0" if $password eq "EMPTY";
    my $vnc = Net::VNC->new({ hostname => $host, port => $port, password => $password });
    $vnc->depth(24);
    $vnc->login;
    my $frame = $vnc->capture;
    my %colours;
    for my $y (0 .. $frame->height - 1) {
        for my $x (0 .. $frame->width - 1) { $colours{join ",", $frame->query_pixel($x, $y)} = 1; }
    }
    print scalar(keys %colours);
"#;

/// How many colours a viewer sees, or what it said when it was not let in.
pub fn watch(desktop: SocketAddr, password: &str) -> Result<u32, String> {
    let (host, port) = (desktop.ip().to_string(), desktop.port().to_string());
    let output = Command::new("timeout")
        .args(["60", "perl", "-MNet::VNC", "-e", VIEWER, &host, &port, password])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap().parse().unwrap()),
        false => Err(said),
    }
}
