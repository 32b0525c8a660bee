import * as keyfactor from "@pulumi/keyfactor";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const canaries = config.requireObject<string[]>("canaries");

// The canaries go first. The others follow once each canary has re-enrolled and uses its new certificate.
const fleet = new keyfactor.OrchestratorReenrollment("fleet", {
    orchestratorIds: keyfactor.getOrchestratorsOutput({ machine: ["edge-*"], atLeast: 2 }).ids,
    status: keyfactor.ReenrollmentStatus.Requested,
    canaryIds: canaries,
    waves: ["2", "50%"],
    maxFailed: "10%",
    overdueAfter: "2d",
});

// Let resources that need the new certificates in use depend on a completion. Its fleet must have no waves, because
// queued orchestrators are not requested while it waits.
const gateways = config.getObject<string[]>("gateways");
if (gateways) {
    const requested = new keyfactor.OrchestratorReenrollment("gateways", {
        orchestratorIds: gateways,
        status: keyfactor.ReenrollmentStatus.Requested,
    });
    new keyfactor.ReenrollmentCompletion("gateways-done", {
        round: requested.round,
        timeout: config.getNumber("timeout") ?? 3600,
    });
}

export const pending = fleet.pendingOrchestratorIds;
export const queued = fleet.queuedOrchestratorIds;
export const failure = fleet.failure;
