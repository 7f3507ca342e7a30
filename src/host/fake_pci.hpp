// The host of the simulator: a folder tree in which the simulator plays the card (functions and their
// namespaces appear as files) and this class plays the kernel.
//
//   ROOT/sys/bus/pci/devices/BDF/          made and removed by the simulator
//        driver_override                   text; written here
//        resets                            decimal count of function resets; counted up here
//        namespaces/NSID                   {"nsid":1,"uuid":"...","size":N,"nbd":"/path of a socket"}
//        driver -> ../../drivers/NAME      made here
//        nvme/nvmeK                        made here while the nvme driver has it
//   ROOT/sys/bus/pci/drivers/{nvme,pciback}
//   ROOT/dev/nvmeKnN -> the NBD socket     made here
//   ROOT/proc/sys/kernel/random/boot_id    made here when absent; remove it to play a reboot
#pragma once
#include <string>
#include <vector>

#include "vnvme/host.hpp"

namespace vnvme::host {

class FakePci final : public Pci {
 public:
  explicit FakePci(std::string root) : root_(std::move(root)) {}

  Task<Result<std::optional<PciFunction>>> find(std::string bdf, Deadline) override;
  Task<Result<void>> bind_pciback(std::string bdf, Deadline) override;
  Task<Result<void>> bind_nvme(std::string bdf, Deadline) override;
  Task<Result<std::string>> block_device(std::string bdf, std::string uuid, Deadline) override;
  std::string boot_id() override;

  // What a toolstack does when a domain gets the function.
  Result<void> reset(const std::string& bdf);

 private:
  struct Namespace {
    std::uint32_t nsid = 0;
    std::string uuid, nbd;
  };
  [[nodiscard]] std::string folder(const std::string& bdf) const {
    return root_ + "/sys/bus/pci/devices/" + bdf;
  }
  Result<std::optional<PciFunction>> look(const std::string& bdf) const;
  Result<void> bind(const std::string& bdf, const std::string& driver);
  Result<void> leave_nvme(const std::string& bdf);
  Result<void> join_nvme(const std::string& bdf);
  Result<std::optional<std::string>> controller(const std::string& bdf) const;
  Result<std::vector<Namespace>> namespaces(const std::string& bdf) const;
  Result<std::optional<std::string>> rescan(const std::string& bdf, const std::string& uuid);
  Result<void> remove_devices(const std::string& controller, const std::vector<std::string>& except);

  std::string root_;
};

}  // namespace vnvme::host
