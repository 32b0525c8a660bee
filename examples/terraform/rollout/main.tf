# A fleet that is rolled out in waves: every apply requests as many orchestrators as the waves allow, and ends.

terraform {
  required_version = ">= 1.2"
  required_providers {
    keyfactorcommand = {
      source = "terraform.local/keyfactor/keyfactorcommand"
    }
  }
}

variable "orchestrator_ids" {
  description = "GUIDs of the orchestrators."
  type        = set(string)
}

variable "canary_ids" {
  description = "Members that are requested first; the others follow once all of them are good."
  type        = set(string)
  default     = null
}

variable "waves" {
  description = "Sizes of the waves after that, as numbers or percents; the last one repeats."
  type        = list(string)
  default     = ["5", "10%", "100%"]
}

variable "max_failed" {
  description = "How many may be bad before the roll-out halts: a number, or a percent of those started."
  type        = string
  default     = "2%"
}

variable "overdue_after" {
  description = "After how long a requested orchestrator is overdue."
  type        = string
  default     = "3d"
}

variable "paused" {
  description = "Whether to request no further members."
  type        = bool
  default     = false
}

resource "keyfactorcommand_orchestrator_reenrollment" "edge" {
  orchestrator_ids = var.orchestrator_ids
  status           = "Requested"
  triggers         = { issuing_ca = "2027" }

  canary_ids    = var.canary_ids
  waves         = var.waves
  max_failed    = var.max_failed
  overdue_after = var.overdue_after
  paused        = var.paused

  lifecycle {
    # Without it, an apply that creates the resource succeeds even if the roll-out is halted.
    postcondition {
      condition     = self.failure == ""
      error_message = self.failure
    }
  }
}

locals {
  edge = keyfactorcommand_orchestrator_reenrollment.edge
}

output "waiting" {
  description = "How many are queued or pending, except overdue ones, which max_failed allows."
  value = length(setsubtract(
    setunion(local.edge.queued_orchestrator_ids, local.edge.pending_orchestrator_ids),
    local.edge.overdue_orchestrator_ids,
  ))
}

output "queued" {
  value = local.edge.queued_orchestrator_ids
}

output "pending" {
  value = local.edge.pending_orchestrator_ids
}

output "overdue" {
  value = local.edge.overdue_orchestrator_ids
}
