// A fake /sys/bus/pci below a root folder: what the host would see of the card's functions. The simulator
// makes and removes devices and namespaces; whoever plays the host binds drivers in the tree itself.
#pragma once
#include <string>

#include "core/json.hpp"

namespace vnvme::sim {

class Sysfs {
 public:
  explicit Sysfs(std::string root) : root_(std::move(root)) {}  // empty: does nothing
  // Makes the folders; removes every device whose address is not in `keep` and every namespace.
  Result<void> start(const std::vector<std::string>& keep);
  bool add_device(const std::string& bdf, const std::string& serial);  // an existing one only gets the serial
  void remove_device(const std::string& bdf);
  bool put_namespace(const std::string& bdf, std::uint64_t nsid,
                     const Json& content);  // appears whole or not at all
  void remove_namespace(const std::string& bdf, std::uint64_t nsid);

 private:
  [[nodiscard]] std::string device(const std::string& bdf) const {
    return root_ + "/sys/bus/pci/devices/0000:" + bdf;
  }
  std::string root_;
};

}  // namespace vnvme::sim
