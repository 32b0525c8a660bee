"""The `JobTypes` of an orchestrator, which make an agent of GET /Agents as large as in a real Command.

The recorded 25.4.1 server returns three for a plain Universal Orchestrator and twenty for one with many capabilities,
with the fields below. They are derived from the GUID while a response is written, so that a fleet of 100,000 keeps none
of them in memory.
"""

import json
import uuid

_STORES = ("PEM", "JKS", "PKCS12", "IISU", "K8SSecret", "K8SCluster", "F5-SL-REST")
_JOBS = ("Inventory", "Management", "Discovery")
MOST = len(_STORES) * len(_JOBS)


def _job_type(name: str, job: str) -> str:
    fields = {
        "Name": name,
        "CertStoreTypeShortName": "",
        "CertStoreJobType": job,
        "JobTypeId": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
    }
    return json.dumps(fields, separators=(",", ":"))


_ALL = [_job_type(f"{store} {job}", job) for store in _STORES for job in _JOBS]
_TEXTS = [f"[{','.join(_ALL[:count])}]" for count in range(MOST + 1)]


def text(agent_id: str, most: int) -> str:
    """The job types of an orchestrator as JSON: 1 to `most` of them, always the same for a GUID.

    Our choice: they do not follow from its Capabilities.
    """
    return _TEXTS[1 + int(agent_id[:8], 16) % most]
