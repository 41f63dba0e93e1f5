//! Machine types: the catalogue, and whether there is room.

use axum::extract::State;
use deckle_api::machine_types::{MachineAvailability, MachineAvailabilityQuery, MachineTypes};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;
use crate::http::openapi::Failure;
use crate::http::{Answer, Caller, Query, show};
use crate::{machines, regions};

/// The paths of machine types.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(availability)).routes(routes!(list))
}

/// Whether a machine of a type could be started in a region now
#[utoipa::path(get, path = "/machine-availability", operation_id = "machineAvailability-list", tag = "Machine Types",
    params(MachineAvailabilityQuery), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineAvailability), Failure))]
async fn availability(
    State(app): State<App>,
    _: Caller,
    Query(query): Query<MachineAvailabilityQuery>,
) -> Answer<MachineAvailability> {
    let region = regions::checked(&app, &query.region)?;
    let machine_type = app.catalogue.wanted(&query.machine_type)?;
    if !machine_type.is_in(&region) {
        return Err(Error::field(
            "machineType",
            format!("the region {region} does not offer {}", machine_type.label),
        ));
    }
    let rooms = machines::service::rooms(&app).await?;
    let available = rooms.iter().any(|(code, room)| *code == region && room.short_of(machine_type).is_none());
    show(MachineAvailability { available })
}

/// List machine types
#[utoipa::path(get, path = "/machine-types", operation_id = "machineTypes-list", tag = "Beyond the reference",
    security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineTypes), Failure))]
async fn list(State(app): State<App>, _: Caller) -> Answer<MachineTypes> {
    let items =
        app.catalogue.types().iter().map(|machine_type| machine_type.show(app.regions.keys())).collect();
    show(MachineTypes { items })
}
