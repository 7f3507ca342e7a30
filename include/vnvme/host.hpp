// The host ports: PCI functions as dom0 sees them, domains, block devices.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vnvme/ids.hpp"
#include "vnvme/result.hpp"
#include "vnvme/time.hpp"
#include "vnvme/units.hpp"

namespace vnvme::host {

struct PciFunction {
  std::string bdf;     // 0000:BB:DD.F
  std::string driver;  // "pciback", "nvme", "" when unbound
};

class Pci {
 public:
  virtual ~Pci() = default;
  // Nothing when the host has no such function (a positive answer).
  virtual Task<Result<std::optional<PciFunction>>> find(std::string bdf, Deadline) = 0;
  // Idempotent; after success the driver was read back. Never asks for the driver that it has already.
  virtual Task<Result<void>> bind_pciback(std::string bdf, Deadline) = 0;
  virtual Task<Result<void>> bind_nvme(std::string bdf, Deadline) = 0;
  // The block device in dom0 whose namespace UUID is that one, on that function (found by UUID, never by
  // number); waits for it. Errc::timeout when it does not come.
  virtual Task<Result<std::string>> block_device(std::string bdf, std::string uuid, Deadline) = 0;
  // /proc/sys/kernel/random/boot_id
  virtual std::string boot_id() = 0;
};

// Running domains, as xenstore knows them.
class Domains {
 public:
  virtual ~Domains() = default;
  // The VM whose domain that is; nothing when there is no such domain (a positive answer).
  virtual Task<Result<std::optional<VmId>>> vm_of(std::uint32_t domid, Deadline) = 0;
  // Domains of that VM that exist now.
  virtual Task<Result<std::vector<std::uint32_t>>> domains_of(VmId vm, Deadline) = 0;
};

// A block device opened for our own use: wiping, and looking at a drive before it is claimed.
class BlockDevice {
 public:
  virtual ~BlockDevice() = default;
  [[nodiscard]] virtual Bytes size() const = 0;
  virtual Task<Result<std::string>> read(std::uint64_t offset, std::size_t length, Deadline) = 0;
  virtual Task<Result<void>> write_zeroes(std::uint64_t offset, std::uint64_t length, Deadline) = 0;
  virtual Task<Result<void>> discard(std::uint64_t offset, std::uint64_t length, Deadline) = 0;
  virtual Task<Result<void>> write(std::uint64_t offset, std::string data, Deadline) = 0;
  virtual Task<Result<void>> flush(Deadline) = 0;
};

class BlockDevices {
 public:
  virtual ~BlockDevices() = default;
  virtual Task<Result<std::unique_ptr<BlockDevice>>> open(std::string path, Deadline) = 0;
};

}  // namespace vnvme::host
