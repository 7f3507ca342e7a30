#include "dpusim/sysfs.hpp"

#include <algorithm>
#include <filesystem>

#include "dpusim/journal.hpp"

namespace vnvme::sim {
namespace fs = std::filesystem;

Result<void> Sysfs::start(const std::vector<std::string>& keep) {
  if (root_.empty()) return {};
  std::error_code error;
  for (const char* folder : {"devices", "drivers/nvme", "drivers/pciback"}) {
    fs::create_directories(root_ + "/sys/bus/pci/" + folder, error);
    if (error) return fail(Errc::internal, root_ + "/sys/bus/pci/" + folder + ": " + error.message());
  }
  fs::directory_iterator entries(root_ + "/sys/bus/pci/devices", error), end;
  std::vector<std::string> found;
  for (; !error && entries != end; entries.increment(error))
    found.push_back(entries->path().filename().string());
  for (const auto& name : found) {
    auto bdf = name.starts_with("0000:") ? name.substr(5) : name;
    bool kept = std::find(keep.begin(), keep.end(), bdf) != keep.end();
    fs::remove_all(kept ? device(bdf) + "/namespaces" : root_ + "/sys/bus/pci/devices/" + name, error);
    if (kept) fs::create_directory(device(bdf) + "/namespaces", error);
  }
  return {};
}

bool Sysfs::add_device(const std::string& bdf, const std::string& serial) {
  if (root_.empty()) return true;
  std::error_code error;
  auto folder = device(bdf);
  bool fresh = !fs::exists(folder, error);
  // The folder gets its name last, so that nobody sees half a device.
  auto at = fresh ? root_ + "/sys/bus/pci/.new-" + bdf : folder;
  fs::create_directories(at + "/namespaces", error);
  if (error) return false;
  bool ok = write_file(at + "/serial", serial + "\n");
  if (!fresh) return ok;
  ok = ok && write_file(at + "/vendor", "0x15b3\n") && write_file(at + "/device", "0x6001\n") &&
       write_file(at + "/class", "0x010802\n") && write_file(at + "/driver_override", "(null)\n") &&
       write_file(at + "/reset", "") && write_file(at + "/resets", "0\n");
  fs::rename(at, folder, error);
  return ok && !error;
}

void Sysfs::remove_device(const std::string& bdf) {
  if (root_.empty()) return;
  std::error_code error;
  auto gone = root_ + "/sys/bus/pci/.gone-" + bdf;
  fs::remove_all(gone, error);
  fs::rename(device(bdf), gone, error);
  fs::remove_all(gone, error);
  for (const char* driver : {"nvme", "pciback"})  // a bound device is a link in its driver's folder
    fs::remove(root_ + "/sys/bus/pci/drivers/" + driver + "/0000:" + bdf, error);
}

bool Sysfs::put_namespace(const std::string& bdf, std::uint64_t nsid, const Json& content) {
  std::error_code error;
  if (root_.empty() || !fs::exists(device(bdf), error)) return true;
  auto hidden = device(bdf) + "/.namespace-" + std::to_string(nsid);
  if (!write_file(hidden, dump_json(content) + "\n")) return false;
  fs::rename(hidden, device(bdf) + "/namespaces/" + std::to_string(nsid), error);
  return !error;
}

void Sysfs::remove_namespace(const std::string& bdf, std::uint64_t nsid) {
  std::error_code error;
  if (!root_.empty()) fs::remove(device(bdf) + "/namespaces/" + std::to_string(nsid), error);
}

}  // namespace vnvme::sim
