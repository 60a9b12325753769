# SPDX-License-Identifier: MIT
# The devices of our QEMU: what a Figment guest has or may get. Everything else stays out, which
# makes the build shorter by a third.
CONFIG_Q35=y
CONFIG_HPET=y
CONFIG_PCIE_PORT=y
CONFIG_VTD=y

CONFIG_FIGMENT=y

CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_9P=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_MEM=y
CONFIG_VIRTIO_RNG=y
CONFIG_VIRTIO_SERIAL=y

# Of a deterministic machine: images as memory, and a port that only the guest writes to.
CONFIG_NVDIMM=y
CONFIG_ISA_DEBUG=y

# Its null backend is the peer of ./figment bench.
CONFIG_NVME_PCI=y
