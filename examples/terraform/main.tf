# A canary that must be complete before the rest is requested.

terraform {
  required_version = ">= 1.2"
  required_providers {
    keyfactorcommand = {
      source = "terraform.local/keyfactor/keyfactorcommand"
    }
  }
}

variable "canary" {
  description = "GUIDs of the orchestrators that go first."
  type        = list(string)
}

variable "timeout" {
  description = "Seconds to wait for the canary."
  type        = number
  default     = 3600
}

data "keyfactorcommand_orchestrators" "rest" {
  machine = ["edge-*"]
  exclude = var.canary
}

module "canary" {
  source           = "./fleet"
  orchestrator_ids = var.canary
}

resource "keyfactorcommand_reenrollment_completion" "canary" {
  members = module.canary.members
  timeout = var.timeout
}

module "rest" {
  source           = "./fleet"
  orchestrator_ids = data.keyfactorcommand_orchestrators.rest.ids
  depends_on       = [keyfactorcommand_reenrollment_completion.canary]
}
