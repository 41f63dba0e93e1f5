//! The rules of GPUs.

use deckle_api::Timestamp;
use deckle_api::admin::{Gpu, GpuState};
use deckle_api::ids::{MachineId, TeamId};
use deckle_engine::Engine;
use deckle_engine::pci::PciAddress;
use deckle_engine::seen::{GpuSeen, GpuTrouble};
use sea_orm::ConnectionTrait;

use super::choice::{Device, Standing, choose, short_of};
use super::store::{self, Model};
use crate::app::App;
use crate::catalogue::Type;
use crate::error::{Error, Result, chain};
use crate::store::{Text, Tx};

/// Why a device is quarantined that is not seen.
const GONE: &str = "the host does not show it any more";

/// Compares the rows with what the host shows: at the start of a server, which goes on where the host does
/// not tell, because each placement compares them again.
pub async fn begin(app: &App) {
    for engine in app.engines() {
        if let Err(error) = reconcile(app, engine.as_ref()).await {
            tracing::error!(error = chain(&error), "the host's GPUs are not compared with the rows");
        }
    }
}

async fn reconcile(app: &App, engine: &dyn Engine) -> Result<Option<Vec<GpuSeen>>> {
    let seen = look(engine).await?;
    if let Some(seen) = &seen {
        let tx = app.store.begin().await?;
        note(&tx, seen, app.clock.now()).await?;
        tx.commit().await?;
    }
    Ok(seen)
}

async fn look(engine: &dyn Engine) -> Result<Option<Vec<GpuSeen>>> {
    engine.look_gpus().await.map_err(|fault| Error::ours("look at a host's GPUs", fault))
}

/// Writes down what the host shows: new devices, and those that have failed or are gone. The rows, as they
/// are then.
async fn note(tx: &Tx, seen: &[GpuSeen], now: Timestamp) -> Result<Vec<Model>> {
    let mut rows = store::all(&**tx).await?;
    for seen in seen {
        let described = Model {
            address: Text(seen.address.clone()),
            model: seen.model.clone(),
            memory_bytes: seen.memory_bytes.and_then(|bytes| bytes.try_into().ok()),
            numa_node: seen.numa_node.map(Into::into),
            machine_id: None,
            team_id: None,
            quarantined: None,
            dt_quarantined: None,
        };
        match rows.iter_mut().find(|row| row.address.0 == seen.address) {
            None => {
                store::insert(&**tx, described.clone()).await?;
                rows.push(described);
            }
            Some(row) => {
                let Model { model, memory_bytes, numa_node, .. } = described;
                let described = Model { model, memory_bytes, numa_node, ..row.clone() };
                if *row != described {
                    store::describe(&**tx, &described).await?;
                    *row = described;
                }
            }
        }
    }
    for row in rows.iter_mut().filter(|row| row.quarantined.is_none()) {
        let why = match seen.iter().find(|seen| seen.address == row.address.0) {
            None => GONE.to_owned(),
            Some(GpuSeen { trouble: Some(GpuTrouble::Failed(why)), .. }) => why.clone(),
            Some(_) => continue,
        };
        tracing::error!(gpu = %row.address.0, why, "a GPU is quarantined");
        store::quarantine(&**tx, &row.address.0, Some((why.clone(), now))).await?;
        row.quarantined = Some(why);
        row.dt_quarantined = Some(now.into());
    }
    rows.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(rows)
}

/// The devices as rows and look show them together, to `machine` if one asks.
fn devices(rows: &[Model], seen: &[GpuSeen], machine: Option<&MachineId>) -> Vec<Device> {
    let known = |seen: &&GpuSeen| rows.iter().all(|row| row.address.0 != seen.address);
    let fresh = seen.iter().filter(known).map(|seen| Device {
        address: seen.address.clone(),
        model: seen.model.clone(),
        numa_node: seen.numa_node.map(Into::into),
        standing: standing(None, Some(seen), machine),
    });
    let rows = rows.iter().map(|row| Device {
        address: row.address.0.clone(),
        model: row.model.clone(),
        numa_node: row.numa_node,
        standing: standing(Some(row), seen.iter().find(|seen| seen.address == row.address.0), machine),
    });
    rows.chain(fresh).collect()
}

fn standing(row: Option<&Model>, seen: Option<&GpuSeen>, machine: Option<&MachineId>) -> Standing {
    let Some(seen) = seen else { return Standing::Out };
    if let Some(team) = row.and_then(|row| row.team_id.as_ref()) {
        return Standing::Used(Some(team.0.clone()));
    }
    if row.is_some_and(|row| row.quarantined.is_some()) || seen.trouble.is_some() {
        return Standing::Out;
    }
    match &seen.machine {
        Some(holder) if Some(holder) == machine => Standing::Own,
        Some(_) => Standing::Used(None),
        None => Standing::Free,
    }
}

/// Gives a machine that gets its place the devices of its type, in the transaction that gives it the place:
/// why not, if it cannot. What the host has shown is written down in either case.
pub async fn take(
    tx: &Tx,
    (machine, team): (&MachineId, &TeamId),
    wanted: &Type,
    seen: &[GpuSeen],
    now: Timestamp,
) -> Result<Option<String>> {
    let Some(gpu) = &wanted.gpu else { return Ok(None) };
    store::free(&**tx, machine).await?;
    let rows = note(tx, seen, now).await?;
    let devices = devices(&rows, seen, Some(machine));
    let Some(chosen) = choose(&devices, &gpu.model, gpu.count as usize) else {
        return Ok(short_of(wanted, &devices, Some(team)));
    };
    for address in &chosen {
        store::give(&**tx, address, machine, team).await?;
    }
    Ok(None)
}

/// The devices that a machine has.
pub async fn of_machine(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Vec<PciAddress>> {
    Ok(store::of_machine(store, machine).await?)
}

/// Whether a machine that is off can be started with the devices that it has.
pub fn are_sound(wanted: &[PciAddress], machine: &MachineId, seen: Option<&[GpuSeen]>) -> bool {
    let Some(seen) = seen else { return true };
    let sound = |seen: &GpuSeen| {
        seen.trouble.is_none() && seen.machine.as_ref().is_none_or(|holder| holder == machine)
    };
    wanted.iter().all(|address| seen.iter().any(|seen| seen.address == *address && sound(seen)))
}

/// Takes the devices of a machine back that gives its place up, in that transaction. Those that have failed
/// are free for nobody.
pub async fn give_back(tx: &Tx, machine: &MachineId, seen: Option<&[GpuSeen]>, now: Timestamp) -> Result<()> {
    if let Some(seen) = seen {
        note(tx, seen, now).await?;
    }
    Ok(store::free(&**tx, machine).await?)
}

/// The devices of a host for whoever asks what there is; none where every wish is granted.
pub async fn devices_of(app: &App, engine: &dyn Engine) -> Result<Option<Vec<Device>>> {
    let Some(seen) = look(engine).await? else { return Ok(None) };
    Ok(Some(devices(&store::all(app.store.read()).await?, &seen, None)))
}

/// Every device as an operator sees it.
pub async fn list(app: &App) -> Result<Vec<Gpu>> {
    let mut seen = Vec::new();
    for engine in app.engines() {
        seen.extend(reconcile(app, engine.as_ref()).await?.unwrap_or_default());
    }
    let rows = store::all(app.store.read()).await?;
    Ok(rows.into_iter().map(|row| shown(row, &seen)).collect())
}

fn shown(row: Model, seen: &[GpuSeen]) -> Gpu {
    let seen = seen.iter().find(|seen| seen.address == row.address.0);
    let blocked = match seen.and_then(|seen| seen.trouble.as_ref()) {
        Some(GpuTrouble::Blocked(why)) => Some(why.clone()),
        _ => None,
    };
    let elsewhere = seen.and_then(|seen| seen.machine.clone()).filter(|_| row.machine_id.is_none());
    let state = match () {
        () if row.quarantined.is_some() => GpuState::Quarantined,
        () if row.machine_id.is_some() || elsewhere.is_some() => GpuState::Used,
        () if blocked.is_some() => GpuState::Blocked,
        () => GpuState::Free,
    };
    Gpu {
        address: row.address.0.to_string(),
        model: row.model,
        memory_bytes: row.memory_bytes.map(i64::unsigned_abs),
        numa_node: row.numa_node,
        state,
        machine_id: row.machine_id.map(|id| id.0).or(elsewhere),
        team_id: row.team_id.map(|id| id.0),
        reason: row.quarantined.or(blocked),
    }
}

/// Ends a device's quarantine, on an operator's word: it is reset, and must be seen sound. One that the host
/// does not show is forgotten.
pub async fn release(app: &App, address: &PciAddress) -> Result<Gpu> {
    let row = releasable(app.store.read(), address).await?;
    if row.quarantined.is_none() {
        return Ok(shown(row, &[]));
    }
    for engine in app.engines() {
        let seen = look(engine.as_ref()).await?.unwrap_or_default();
        if seen.iter().any(|seen| seen.address == *address) {
            return revive(app, engine.as_ref(), address).await;
        }
    }
    let tx = app.store.begin().await?;
    let row = releasable(&*tx, address).await?;
    store::delete(&*tx, address).await?;
    tx.commit().await?;
    Ok(Gpu { state: GpuState::Forgotten, ..shown(row, &[]) })
}

async fn revive(app: &App, engine: &dyn Engine, address: &PciAddress) -> Result<Gpu> {
    let refused = |fault: deckle_engine::Error| match fault.is_final() {
        true => Error::Precondition(format!("{address} stays quarantined: {}", fault.told())),
        false => Error::ours(format!("reset the GPU {address}"), fault),
    };
    engine.reset_gpu(address).await.map_err(refused)?;
    let seen = look(engine).await?.unwrap_or_default();
    let tx = app.store.begin().await?;
    releasable(&*tx, address).await?;
    store::quarantine(&*tx, address, None).await?;
    let rows = note(&tx, &seen, app.clock.now()).await?;
    tx.commit().await?;
    let row = rows.into_iter().find(|row| row.address.0 == *address);
    row.map(|row| shown(row, &seen)).ok_or_else(|| Error::no_such("GPU", address))
}

/// A device that no machine has.
async fn releasable(store: &impl ConnectionTrait, address: &PciAddress) -> Result<Model> {
    let row = store::find(store, address).await?.ok_or_else(|| Error::no_such("GPU", address))?;
    match &row.machine_id {
        Some(machine) => {
            Err(Error::Precondition(format!("{address} is given to {}; stop it first", machine.0)))
        }
        None => Ok(row),
    }
}
