//! `deckle machine create`: every field of the API, with defaults where there is a sensible one.

use std::io::{self, IsTerminal};

use anyhow::{Result, bail};
use clap::Args;
use deckle_api::custom_templates::CustomTemplate;
use deckle_api::ids::{PrivateNetworkId, StartupScriptId, TemplateId, UserId};
use deckle_api::machines::{AutoSnapshotFrequency, CreateMachine, PublicIpType, RestorePointFrequency};
use deckle_api::os_templates::{AvailableMachineType, OsTemplate};
use deckle_api::regions::Region;
use deckle_api::sizes::SizeGb;

use crate::Cli;
use crate::client::Client;
use crate::commands::{custom_templates, os_templates};
use crate::lists::one_of;
use crate::output::items;
use crate::waiting::{self, WaitFlags};

/// The type of a machine whose template offers it, when nobody asks for another: 2 processors, 4 GiB.
const USUAL_TYPE: &str = "C4";
/// The disk of a machine whose template does not say how large one must be.
const USUAL_DISK_GB: f64 = 50.0;

/// A machine to create.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name
    #[arg(long)]
    name: String,
    /// The template that its disk begins as: an id, or the exact name of one of `deckle os-template list` or
    /// `deckle custom-template list`
    #[arg(long, value_name = "ID|NAME", visible_alias = "template-id")]
    template: String,
    /// The label of its type [default: C4, or the first that the template offers]
    #[arg(long, value_name = "LABEL")]
    machine_type: Option<String>,
    /// The size of its disk [default: the template's, or 50]
    #[arg(long, value_name = "GB")]
    disk_size: Option<f64>,
    /// Where it is to be
    #[arg(long, default_value = Region::DEFAULT[0])]
    region: String,
    /// The private network that it is to be in; without one it is isolated
    #[arg(long, value_name = "ID")]
    network_id: Option<PrivateNetworkId>,
    /// Where its public address comes from [default: none]
    #[arg(long, value_name = "TYPE", value_parser = one_of::<PublicIpType>(&["static", "dynamic", "none"]))]
    public_ip_type: Option<PublicIpType>,
    /// The script that it runs as root at the end of each boot
    #[arg(long, value_name = "ID")]
    startup_script_id: Option<StartupScriptId>,
    /// The members of the team that may use it
    #[arg(long, value_name = "USER,…", value_delimiter = ',')]
    accessor_ids: Vec<UserId>,
    /// Only make it: leave it off
    #[arg(long)]
    no_start: bool,
    /// Use NVLink, where the type has it
    #[arg(long)]
    enable_nvlink: bool,
    /// Accepted for compatibility: Deckle sends no mail
    #[arg(long, hide = true)]
    email_password: bool,
    #[command(flatten)]
    wait: WaitFlags,
    #[command(flatten)]
    policies: Policies,
}

/// What happens to it by itself.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policies")]
struct Policies {
    /// Take snapshots by themselves
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    auto_snapshot_enabled: Option<bool>,
    /// How often [default: daily]
    #[arg(long, value_name = "OFTEN", requires = "auto_snapshot_enabled")]
    #[arg(value_parser = one_of::<AutoSnapshotFrequency>(&["hourly", "daily", "weekly", "monthly"]))]
    auto_snapshot_frequency: Option<AutoSnapshotFrequency>,
    /// How many of them to keep: 0 to 10 [default: 1]
    #[arg(long, value_name = "COUNT", requires = "auto_snapshot_enabled")]
    auto_snapshot_save_count: Option<f64>,
    /// Shut it down by itself
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    auto_shutdown_enabled: Option<bool>,
    /// So many hours after boot: 1 to 168 [default: 1]
    #[arg(long, value_name = "HOURS", requires = "auto_shutdown_enabled")]
    auto_shutdown_timeout: Option<f64>,
    /// Cut its power without asking the guest
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(requires = "auto_shutdown_enabled")]
    auto_shutdown_force: Option<bool>,
    /// Take a snapshot once it is made
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    take_initial_snapshot: Option<bool>,
    /// Set its disk back to a snapshot at each shutdown
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    restore_point_enabled: Option<bool>,
    /// When to
    #[arg(long, value_name = "WHEN", requires = "restore_point_enabled")]
    #[arg(value_parser = one_of::<RestorePointFrequency>(&["shutdown"]))]
    restore_point_frequency: Option<RestorePointFrequency>,
}

impl Create {
    /// Creates it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        let found = find(client, &self.template).await?;
        let create = self.request(found.as_ref())?;
        if io::stderr().is_terminal() {
            warn_without_keys(client).await;
        }
        waiting::finish(cli, client, self.wait, client.post(super::PATH, &create).await?).await
    }

    /// What is left out is not sent, so that the server's own defaults count.
    fn request(&self, template: Option<&Offer>) -> Result<CreateMachine> {
        let policies = &self.policies;
        Ok(CreateMachine {
            name: self.name.clone(),
            machine_type: self.machine_type.clone().unwrap_or_else(|| usual_type(template)),
            template_id: self.template_id(template)?,
            network_id: self.network_id.clone(),
            disk_size: self.disk(template),
            region: Region(self.region.clone()),
            public_ip_type: self.public_ip_type,
            auto_snapshot_enabled: policies.auto_snapshot_enabled,
            auto_snapshot_frequency: policies.auto_snapshot_frequency,
            auto_snapshot_save_count: policies.auto_snapshot_save_count,
            auto_shutdown_enabled: policies.auto_shutdown_enabled,
            auto_shutdown_timeout: policies.auto_shutdown_timeout,
            auto_shutdown_force: policies.auto_shutdown_force,
            take_initial_snapshot: policies.take_initial_snapshot,
            restore_point_enabled: policies.restore_point_enabled,
            restore_point_frequency: policies.restore_point_frequency,
            startup_script_id: self.startup_script_id.clone(),
            email_password: said(self.email_password),
            start_on_create: self.no_start.then_some(false),
            enable_nvlink: said(self.enable_nvlink),
            accessor_ids: (!self.accessor_ids.is_empty()).then(|| self.accessor_ids.clone()),
        })
    }

    /// An id that no list has is sent as it is: the server says what it thinks of it.
    fn template_id(&self, found: Option<&Offer>) -> Result<TemplateId> {
        match (found, self.template.parse()) {
            (Some(template), _) => Ok(template.id.clone()),
            (None, Ok(id)) => Ok(id),
            (None, Err(_)) => {
                bail!(
                    "there is no template called {:?}: see `deckle os-template list` and \
                     `deckle custom-template list`",
                    self.template
                )
            }
        }
    }

    fn disk(&self, template: Option<&Offer>) -> SizeGb {
        let asked = self.disk_size.map(SizeGb);
        asked.or(template.and_then(|template| template.default_size_gb)).unwrap_or(SizeGb(USUAL_DISK_GB))
    }
}

/// What a template of either kind offers.
struct Offer {
    id: TemplateId,
    default_size_gb: Option<SizeGb>,
    available_machine_types: Vec<AvailableMachineType>,
}

/// The template of an id or of an exact name: of an operating system, or one of the team's.
async fn find(client: &Client, wanted: &str) -> Result<Option<Offer>> {
    if let Some(OsTemplate { id, default_size_gb, available_machine_types, .. }) =
        os_templates::find(client, wanted).await?
    {
        return Ok(Some(Offer { id, default_size_gb, available_machine_types }));
    }
    let found = custom_templates::find(client, wanted).await?;
    Ok(found.map(|CustomTemplate { id, default_size_gb, available_machine_types, .. }| Offer {
        id,
        default_size_gb: Some(default_size_gb),
        available_machine_types,
    }))
}

/// A machine whose maker has no SSH key lets nobody in. Only a person at a terminal is told, and a list
/// that cannot be had is no reason not to go on.
async fn warn_without_keys(client: &Client) {
    let keys = client.get("/v1/ssh-keys?limit=1").await;
    if keys.is_ok_and(|keys| items(&keys).is_empty()) {
        eprintln!("warning: you have no SSH key, so nobody can log in; `deckle ssh-key add` adds yours");
    }
}

fn usual_type(template: Option<&Offer>) -> String {
    let types = template.map_or(&[][..], |template| &template.available_machine_types);
    let free = || types.iter().filter(|offered| offered.is_available);
    let usual = free().find(|offered| offered.machine_type_label == USUAL_TYPE).or_else(|| free().next());
    usual.map_or_else(|| USUAL_TYPE.to_owned(), |offered| offered.machine_type_label.clone())
}

fn said(flag: bool) -> Option<bool> {
    flag.then_some(true)
}
