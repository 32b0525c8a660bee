# A re-enrollment with the postcondition that makes an apply fail when orchestrators have failed.

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

variable "status" {
  description = "Requested, Required or None."
  type        = string
  default     = "Requested"
}

variable "triggers" {
  description = "A change starts a new round."
  type        = map(string)
  default     = {}
}

variable "on_removal" {
  description = "unset or retain."
  type        = string
  default     = "unset"
}

resource "keyfactorcommand_orchestrator_reenrollment" "this" {
  orchestrator_ids = var.orchestrator_ids
  status           = var.status
  triggers         = var.triggers
  on_removal       = var.on_removal

  lifecycle {
    postcondition {
      condition     = self.failure == ""
      error_message = self.failure
    }
  }
}

output "members" {
  description = "What is recorded of each orchestrator, for a completion to wait for."
  value       = keyfactorcommand_orchestrator_reenrollment.this.members
}
