// PCI functions in the real sysfs of dom0.
#pragma once
#include <string>

#include "host/helper.hpp"
#include "vnvme/host.hpp"

namespace vnvme::host {

class SysfsPci final : public Pci {
 public:
  // root: "" for the running system; else a folder with sys/, dev/ and proc/ below it.
  explicit SysfsPci(std::string root = {}) : root_(std::move(root)) {}

  Task<Result<std::optional<PciFunction>>> find(std::string bdf, Deadline) override;
  Task<Result<void>> bind_pciback(std::string bdf, Deadline) override;
  Task<Result<void>> bind_nvme(std::string bdf, Deadline) override;
  Task<Result<std::string>> block_device(std::string bdf, std::string uuid, Deadline) override;
  std::string boot_id() override;

 private:
  Result<std::optional<PciFunction>> look(const std::string& bdf) const;
  Task<Result<void>> bind(std::string bdf, std::string driver, Deadline deadline);

  std::string root_;
  SysfsHelper helper_;
};

}  // namespace vnvme::host
