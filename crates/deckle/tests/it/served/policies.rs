//! What machines do by themselves, as it is typed.

#[test]
fn what_a_machine_does_by_itself_is_told_at_any_time() {
    let (mut world, _server) = super::world("served_policies");
    let create = "machine create --name kiosk --template t0nspur5 --no-start --auto-shutdown-enabled \
                  --auto-snapshot-enabled --restore-point-enabled -o json";
    let [id, _, _] = world.make(create, ["ps", "ev", "sl"]);
    world.run(&format!("machine get {id}"));
    let plain = "machine create --name desk --template t0nspur5 --no-start --auto-shutdown-enabled=false \
                 --auto-snapshot-enabled=false --restore-point-enabled=false -o json";
    world.make(plain, ["ps", "ev"]);
    let week = "--auto-shutdown-timeout 168 --auto-shutdown-force";
    let often = "--auto-snapshot-frequency hourly --auto-snapshot-save-count 10";
    world.run(&format!("machine update {id} {week} {often}"));
    world.run(&format!("machine update {id} --auto-shutdown-timeout 169"));
    world.run(&format!("machine update {id} --auto-snapshot-save-count 11"));
    world.run(&format!("machine update {id} --auto-snapshot-frequency yearly"));
    world.run(&format!("machine update {id} --restore-point-snapshot-id sl0"));
    let none = "--auto-shutdown-enabled=false --auto-snapshot-enabled=false --restore-point-enabled=false";
    world.run(&format!("machine update {id} {none}"));
    world.run(&format!("machine update {id} --restore-point-enabled --restore-point-frequency shutdown"));
}
