//! Deckle: your own Linux machines as a GPU cloud.
//!
//! One binary: `deckle serve` is the server, `deckle <noun> <verb>` a client of it, and `deckle admin`
//! the operator's way to it on its own host.

mod client;
mod commands;
mod connection;
mod failure;
mod lists;
mod output;
mod progress;
mod reasons;
mod state_folder;
mod target;
mod waiting;
mod web;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::client::Client;
use crate::commands::{
    admin, completions, custom_templates, doctor, firewall_rules, machine_events, machine_types, machines,
    os_templates, private_networks, public_ips, serve, sessions, shared_drives, snapshots, ssh_keys,
    startup_scripts, usage,
};
use crate::output::Format;
use crate::target::{Target, TargetFlags};

/// Your own Linux machines as a GPU cloud.
#[derive(Debug, Parser)]
#[command(name = "deckle", version, about, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    target: TargetFlags,
    /// How answers are printed
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

/// The table of contents: one line a noun.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the API
    Serve(serve::Serve),
    /// Says what this host can and cannot do, and what mends it
    Doctor(doctor::Doctor),
    /// Machines: create them, switch them, log in to them
    #[command(subcommand)]
    Machine(machines::Verb),
    /// Machine events: how long work on machines goes
    #[command(subcommand)]
    MachineEvent(machine_events::Verb),
    /// Machine types: what a machine may be made of
    #[command(subcommand)]
    MachineType(machine_types::Verb),
    /// Templates of operating systems that machines are made from
    #[command(subcommand)]
    OsTemplate(os_templates::Verb),
    /// Templates that the team has made of its machines
    #[command(subcommand)]
    CustomTemplate(custom_templates::Verb),
    /// Private networks between machines
    #[command(subcommand)]
    PrivateNetwork(private_networks::Verb),
    /// Public addresses, which lead to machines from outside
    #[command(subcommand)]
    PublicIp(public_ips::Verb),
    /// Drives that the machines of a private network share
    #[command(subcommand)]
    SharedDrive(shared_drives::Verb),
    /// Snapshots of machines' disks: take them, and go back to them
    #[command(subcommand)]
    Snapshot(snapshots::Verb),
    /// Firewall rules: what may pass to and from machines
    #[command(subcommand)]
    FirewallRule(firewall_rules::Verb),
    /// Scripts that machines run as root at the end of their boot
    #[command(subcommand)]
    StartupScript(startup_scripts::Verb),
    /// Your SSH keys, which open the machines that you make
    #[command(subcommand)]
    SshKey(ssh_keys::Verb),
    /// What was used in a window of time, and what it came to
    Usage(usage::Usage),
    /// Whom the key stands for
    #[command(subcommand)]
    Session(sessions::Verb),
    /// What only the operator of the server may do, on its own host
    Admin(admin::Admin),
    /// Prints what a shell needs to complete commands of deckle
    Completions(completions::Completions),
}

impl Cli {
    async fn run(&self) -> Result<()> {
        match &self.command {
            Command::Serve(serve) => serve.run().await,
            Command::Doctor(doctor) => doctor.run(self).await,
            Command::Machine(verb) => verb.run(self).await,
            Command::MachineEvent(verb) => verb.run(self).await,
            Command::MachineType(verb) => verb.run(self).await,
            Command::OsTemplate(verb) => verb.run(self).await,
            Command::CustomTemplate(verb) => verb.run(self).await,
            Command::PrivateNetwork(verb) => verb.run(self).await,
            Command::PublicIp(verb) => verb.run(self).await,
            Command::SharedDrive(verb) => verb.run(self).await,
            Command::Snapshot(verb) => verb.run(self).await,
            Command::FirewallRule(verb) => verb.run(self).await,
            Command::StartupScript(verb) => verb.run(self).await,
            Command::SshKey(verb) => verb.run(self).await,
            Command::Usage(usage) => usage.run(self).await,
            Command::Session(verb) => verb.run(self).await,
            Command::Admin(admin) => admin.run(self).await,
            Command::Completions(completions) => completions.run(),
        }
    }

    /// A client of the API that the flags and the environment name.
    fn client(&self) -> Result<Client> {
        Target::of_api(&self.target).map(Client::new)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::tell(&error),
    }
}
