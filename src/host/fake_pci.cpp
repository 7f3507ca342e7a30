#include "host/fake_pci.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>

#include "core/json.hpp"
#include "host/namespace_lookup.hpp"
#include "host/text_file.hpp"
#include "host/with_deadline.hpp"

namespace vnvme::host {
namespace {

using namespace std::chrono_literals;

Result<void> write_text(const std::string& path, const std::string& text) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return fail(errno_error("write", path, errno));
  ssize_t n = ::write(fd, text.data(), text.size());
  int bad = n < 0 ? errno : static_cast<std::size_t>(n) == text.size() ? 0 : EIO;
  ::close(fd);
  if (bad) return fail(errno_error("write", path, bad));
  return {};
}

Result<void> make_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail(errno_error("make", path, error.value()));
  return {};
}

// Replaces whatever link or file has that name.
Result<void> link_to(const std::string& target, const std::string& path) {
  const std::string fresh = path + ".new";
  (void)::unlink(fresh.c_str());
  if (::symlink(target.c_str(), fresh.c_str()) != 0) return fail(errno_error("link", fresh, errno));
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail(errno_error("link", path, errno));
  return {};
}

Result<void> unlink_quietly(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(errno_error("remove", path, errno));
  return {};
}

Error absent(const std::string& bdf) {
  return {Errc::not_found, Outcome::not_done, "this host has no PCI function " + bdf};
}

}  // namespace

Result<std::optional<PciFunction>> FakePci::look(const std::string& bdf) const {
  if (!is_bdf(bdf)) return fail(bad_bdf(bdf));
  auto there = exists(folder(bdf));
  if (!there) return fail(std::move(there.error()));
  if (!*there) return std::nullopt;
  auto driver = link_name(folder(bdf) + "/driver");
  if (!driver) return fail(std::move(driver.error()));
  return PciFunction{bdf, driver->value_or("")};
}

Task<Result<std::optional<PciFunction>>> FakePci::find(std::string bdf, Deadline) {
  co_return look(bdf);
}
Task<Result<void>> FakePci::bind_pciback(std::string bdf, Deadline) {
  co_return bind(bdf, "pciback");
}
Task<Result<void>> FakePci::bind_nvme(std::string bdf, Deadline) {
  co_return bind(bdf, "nvme");
}

Result<void> FakePci::bind(const std::string& bdf, const std::string& driver) {
  auto before = look(bdf);
  if (!before) return fail(std::move(before.error()));
  if (!*before) return fail(absent(bdf));
  if ((*before)->driver == driver) return {};
  VNVME_TRY(write_text(folder(bdf) + "/driver_override", driver));
  if ((*before)->driver == "nvme") VNVME_TRY(leave_nvme(bdf));
  VNVME_TRY(make_folders(root_ + "/sys/bus/pci/drivers/" + driver));
  if (driver == "nvme") VNVME_TRY(join_nvme(bdf));
  if (driver == "pciback") VNVME_TRY(reset(bdf));  // as xen-pciback does when it seizes a function
  return link_to("../../drivers/" + driver, folder(bdf) + "/driver");
}

Result<void> FakePci::reset(const std::string& bdf) {
  auto found = look(bdf);
  if (!found) return fail(std::move(found.error()));
  if (!*found) return fail(absent(bdf));
  auto text = read_text(folder(bdf) + "/resets");
  if (!text) return fail(std::move(text.error()));
  std::uint64_t count = 0;
  for (char c : text->value_or("")) {
    if (c < '0' || c > '9' || count > UINT64_MAX / 100)
      return fail(Errc::protocol, folder(bdf) + "/resets holds no number");
    count = count * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return write_text(folder(bdf) + "/resets", std::to_string(count + 1) + "\n");
}

// The name of the controller that the nvme driver made of this function.
Result<std::optional<std::string>> FakePci::controller(const std::string& bdf) const {
  auto names = list_folder(folder(bdf) + "/nvme");
  if (!names) return fail(std::move(names.error()));
  if (!*names || (*names)->empty()) return std::nullopt;
  return (*names)->front();
}

// The smallest number that no other function's controller has.
Result<void> FakePci::join_nvme(const std::string& bdf) {
  auto own = controller(bdf);
  if (!own) return fail(std::move(own.error()));
  if (*own) return {};  // left over from a daemon that was killed half way
  auto devices = list_folder(root_ + "/sys/bus/pci/devices");
  if (!devices) return fail(std::move(devices.error()));
  std::set<std::string> taken;
  for (const std::string& device : devices->value_or(std::vector<std::string>{})) {
    if (!is_bdf(device)) continue;
    auto name = controller(device);
    if (!name) return fail(std::move(name.error()));
    if (*name) taken.insert(**name);
  }
  std::size_t number = 0;
  while (taken.contains("nvme" + std::to_string(number))) ++number;
  return make_folders(folder(bdf) + "/nvme/nvme" + std::to_string(number));
}

Result<void> FakePci::leave_nvme(const std::string& bdf) {
  auto name = controller(bdf);
  if (!name) return fail(std::move(name.error()));
  if (!*name) return {};
  VNVME_TRY(remove_devices(**name, {}));
  std::error_code error;
  std::filesystem::remove_all(folder(bdf) + "/nvme", error);
  if (error) return fail(errno_error("remove", folder(bdf) + "/nvme", error.value()));
  return {};
}

Result<void> FakePci::remove_devices(const std::string& name, const std::vector<std::string>& except) {
  auto nodes = list_folder(root_ + "/dev");
  if (!nodes) return fail(std::move(nodes.error()));
  for (const std::string& node : nodes->value_or(std::vector<std::string>{})) {
    if (!node.starts_with(name + "n") || !device_of_namespace(node)) continue;
    if (std::find(except.begin(), except.end(), node) == except.end())
      VNVME_TRY(unlink_quietly(root_ + "/dev/" + node));
  }
  return {};
}

// Files that are not (yet) whole are passed over: the simulator may be writing one.
Result<std::vector<FakePci::Namespace>> FakePci::namespaces(const std::string& bdf) const {
  std::vector<Namespace> all;
  auto names = list_folder(folder(bdf) + "/namespaces");
  if (!names) return fail(std::move(names.error()));
  for (const std::string& name : names->value_or(std::vector<std::string>{})) {
    auto text = read_text(folder(bdf) + "/namespaces/" + name);
    if (!text) return fail(std::move(text.error()));
    if (!*text) continue;
    auto json = parse_json(**text, {.bytes = 4096, .depth = 2, .values = 32, .string_bytes = 4096});
    if (!json) continue;
    auto nsid = number_of(*json, "nsid");
    auto uuid = parse_uuid(text_of(*json, "uuid").value_or(""));
    auto nbd = text_of(*json, "nbd");
    if (nsid && *nsid > 0 && *nsid < UINT32_MAX && uuid && nbd && nbd->starts_with("/"))
      all.push_back({static_cast<std::uint32_t>(*nsid), *uuid, *nbd});
  }
  return all;
}

// Devices as the driver would make them now; the path of the one with that uuid.
Result<std::optional<std::string>> FakePci::rescan(const std::string& bdf, const std::string& uuid) {
  auto function = look(bdf);
  if (!function) return fail(std::move(function.error()));
  if (!*function) return fail(absent(bdf));
  auto name = controller(bdf);
  if (!name) return fail(std::move(name.error()));
  if ((*function)->driver != "nvme" || !*name)
    return fail(Errc::not_permitted, "PCI function " + bdf + " is not bound to the nvme driver");
  auto all = namespaces(bdf);
  if (!all) return fail(std::move(all.error()));
  VNVME_TRY(make_folders(root_ + "/dev"));
  std::vector<std::string> present;
  std::optional<std::string> found;
  for (const Namespace& one : *all) {
    std::string node = **name + "n" + std::to_string(one.nsid);
    VNVME_TRY(link_to(one.nbd, root_ + "/dev/" + node));
    if (one.uuid == uuid) found = root_ + "/dev/" + node;
    present.push_back(std::move(node));
  }
  VNVME_TRY(remove_devices(**name, present));
  return found;
}

Task<Result<std::string>> FakePci::block_device(std::string bdf, std::string uuid, Deadline deadline) {
  auto wanted = parse_uuid(uuid);
  if (!wanted) co_return fail(Errc::invalid_argument, "a namespace UUID was expected");
  for (;;) {
    auto found = rescan(bdf, *wanted);
    if (!found) co_return fail(std::move(found.error()));
    if (*found) co_return std::move(**found);
    const bool more = co_await pause(10ms, deadline);
    if (!more)
      co_return fail(Errc::timeout,
                     "namespace " + *wanted + " did not appear in dom0 on PCI function " + bdf);
  }
}

std::string FakePci::boot_id() {
  const std::string path = root_ + "/proc/sys/kernel/random/boot_id";
  auto text = read_text(path);
  if (text && *text && !(*text)->empty()) return **text;
  std::string made = random_uuid();
  if (!make_folders(root_ + "/proc/sys/kernel/random") || !write_text(path, made + "\n")) return {};
  return made;
}

}  // namespace vnvme::host
