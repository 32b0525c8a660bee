import * as keyfactor from "@pulumi/keyfactor";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const canaries = config.requireObject<string[]>("canaries");

// The canaries go first, and nobody else starts before each of them has re-enrolled and uses its new certificate.
const fleet = new keyfactor.OrchestratorReenrollment("fleet", {
    orchestratorIds: keyfactor.getOrchestratorsOutput({ machine: ["edge-*"], atLeast: 2 }).ids,
    status: keyfactor.ReenrollmentStatus.Requested,
    canaryIds: canaries,
    waves: ["2", "50%"],
    maxFailed: "10%",
    overdueAfter: "2d",
});

// What must not run before a certificate is in use depends on a completion; give it orchestrators that are requested at
// once, since nobody requests queued ones while it waits.
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
