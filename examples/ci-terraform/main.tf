# A fleet that is rolled out in waves: every apply requests as many orchestrators as the waves allow, and ends.

terraform {
  required_version = ">= 1.2"
  required_providers {
    keyfactorcommand = {
      source = "terraform.local/keyfactor/keyfactorcommand"
    }
  }
  # Add your remote backend here, because the state must outlive the runner.
}

variable "orchestrator_ids" {
  description = "GUIDs of the orchestrators."
  type        = set(string)
}

variable "canary_ids" {
  description = "Members that are requested first; the others follow once all of them are good."
  type        = set(string)
  default     = []
}

variable "waves" {
  description = "Sizes of the waves after that, as numbers or percents; the last one repeats."
  type        = list(string)
  default     = ["5", "10%", "25%"]
}

resource "keyfactorcommand_orchestrator_reenrollment" "edge" {
  orchestrator_ids = var.orchestrator_ids
  status           = "Requested"
  canary_ids       = var.canary_ids
  waves            = var.waves
  max_failed       = "2%"
  overdue_after    = "2d"

  lifecycle {
    postcondition {
      condition     = self.failure == ""
      error_message = self.failure
    }
  }
}

output "queued" {
  value = keyfactorcommand_orchestrator_reenrollment.edge.queued_orchestrator_ids
}
