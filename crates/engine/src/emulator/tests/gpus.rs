//! A pretended host's GPUs.

use super::*;
use crate::emulator::PretendedGpus;
use crate::pci::PciAddress;
use crate::seen::{GpuSeen, GpuTrouble};

fn gpu(bus: u8) -> PciAddress {
    format!("0000:{bus:02x}:00.0").parse().unwrap()
}

fn with(count: u8, numa_nodes: u8) -> Emulator {
    let gpus = vec![PretendedGpus { model: "A100".into(), memory_gib: 40, count, numa_nodes }];
    open(Settings { gpus: Some(gpus), ..Default::default() }, &Hand::default())
}

async fn seen(host: &Emulator) -> Vec<GpuSeen> {
    host.look_gpus().await.unwrap().unwrap()
}

async fn start_with(host: &Emulator, number: u64, gpus: &[PciAddress]) -> Result<(), Error> {
    make(host, number).await;
    host.power_on(&BootSpec { gpus: gpus.to_vec(), ..boot(number, 1) }).await
}

#[tokio::test]
async fn gpus_lie_over_the_nodes_of_their_host() {
    let nodes: Vec<_> = seen(&with(8, 2)).await.into_iter().map(|gpu| gpu.numa_node.unwrap()).collect();
    assert_eq!(nodes, [0, 0, 0, 0, 1, 1, 1, 1]);
    let odd: Vec<_> = seen(&with(3, 2)).await.into_iter().map(|gpu| gpu.numa_node.unwrap()).collect();
    assert_eq!(odd, [0, 0, 1]);
}

#[tokio::test]
async fn a_host_without_a_number_of_gpus_has_no_bound_and_one_with_a_capacity_has_none() {
    assert_eq!(emulator().look_gpus().await.unwrap(), None);
    let capacity = Some(Capacity { ram_bytes: GIB, vcpus: 1, disk_free_bytes: GIB });
    let bounded = open(Settings { capacity, ..Default::default() }, &Hand::default());
    assert_eq!(bounded.look_gpus().await.unwrap(), Some(Vec::new()));
}

#[tokio::test]
async fn a_gpu_is_one_machines_until_its_power_is_cut() {
    let host = with(2, 1);
    start_with(&host, 1, &[gpu(1)]).await.unwrap();
    assert_eq!(host.look_machine(&machine(1), &network()).await.unwrap().gpus, [gpu(1)]);
    assert_eq!(seen(&host).await[0].machine, Some(machine(1)));
    assert!(
        told_finally(start_with(&host, 2, &[gpu(1)]).await).ends_with("ps1 runs with the GPU 0000:01:00.0")
    );
    told_finally(host.reset_gpu(&gpu(1)).await);
    host.crash(&machine(1));
    start_with(&host, 2, &[gpu(1)]).await.unwrap();
    assert!(told_finally(start_with(&host, 1, &[gpu(9)]).await).contains("not on this host"));
}

#[tokio::test]
async fn a_gpu_that_does_not_reset_stays_failed_until_it_is_reset() {
    let host = with(1, 1);
    start_with(&host, 1, &[gpu(1)]).await.unwrap();
    host.let_gpu_resist(&gpu(1), true);
    host.cut_power(&machine(1)).await.unwrap();
    let failed = Some(GpuTrouble::Failed("it does not reset".into()));
    assert_eq!(seen(&host).await[0].trouble, failed);
    told_finally(start_with(&host, 2, &[gpu(1)]).await);
    told_finally(host.reset_gpu(&gpu(1)).await);
    host.let_gpu_resist(&gpu(1), false);
    assert_eq!(seen(&host).await[0].trouble, failed, "nobody has asked for a reset yet");
    host.reset_gpu(&gpu(1)).await.unwrap();
    start_with(&host, 2, &[gpu(1)]).await.unwrap();
}

#[tokio::test]
async fn a_hidden_gpu_is_not_seen_and_comes_back() {
    let host = with(2, 1);
    host.hide_gpu(&gpu(2), true);
    assert_eq!(seen(&host).await.len(), 1);
    told_finally(start_with(&host, 1, &[gpu(2)]).await);
    host.hide_gpu(&gpu(2), false);
    start_with(&host, 1, &[gpu(2)]).await.unwrap();
}
