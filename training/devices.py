"""Which device a run trains on."""

from .. import UserError


def choose_device(device: str) -> str:
    """Turn ``auto`` into cuda where there is one, else cpu; refuse cuda where there is none."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            f"device={device}: torch sees no CUDA device here; use device=cpu, or install a CUDA build of torch."
        )
    return device


def device_of_job(device: str, job_number: int) -> str:
    """Return the device of one job of a sweep: its share of this machine's GPUs, unless the user named one."""
    import torch

    return spread(device, job_number, torch.cuda.device_count())


def spread(device: str, job_number: int, n_devices: int) -> str:
    """Give GPUs to jobs in turn, by job number; a named device stays, and one GPU or none is nothing to share."""
    if device not in ("auto", "cuda") or n_devices < 2:
        return device
    return f"cuda:{job_number % n_devices}"
