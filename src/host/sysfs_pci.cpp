#include "host/sysfs_pci.hpp"

#include <cerrno>

#include "host/namespace_lookup.hpp"
#include "host/text_file.hpp"
#include "host/with_deadline.hpp"

namespace vnvme::host {
namespace {

using namespace std::chrono_literals;

Error absent(const std::string& bdf) {
  return {Errc::not_found, Outcome::not_done, "this host has no PCI function " + bdf};
}

}  // namespace

Result<std::optional<PciFunction>> SysfsPci::look(const std::string& bdf) const {
  if (!is_bdf(bdf)) return fail(bad_bdf(bdf));
  const std::string folder = root_ + "/sys/bus/pci/devices/" + bdf;
  auto there = exists(folder);
  if (!there) return fail(std::move(there.error()));
  if (!*there) return std::nullopt;
  auto driver = link_name(folder + "/driver");
  if (!driver) return fail(std::move(driver.error()));
  return PciFunction{bdf, driver->value_or("")};
}

Task<Result<std::optional<PciFunction>>> SysfsPci::find(std::string bdf, Deadline) {
  co_return look(bdf);
}

Task<Result<void>> SysfsPci::bind_pciback(std::string bdf, Deadline deadline) {
  co_return co_await bind(std::move(bdf), "pciback", deadline);
}
Task<Result<void>> SysfsPci::bind_nvme(std::string bdf, Deadline deadline) {
  co_return co_await bind(std::move(bdf), "nvme", deadline);
}

// driver_override comes first, always: with sriov_drivers_autoprobe=0 a VF binds to nothing without it
// (ENODEV), and between unbind and bind no other driver may take the function.
Task<Result<void>> SysfsPci::bind(std::string bdf, std::string driver, Deadline deadline) {
  auto before = look(bdf);
  if (!before) co_return fail(std::move(before.error()));
  if (!*before) co_return fail(absent(bdf));
  if ((*before)->driver == driver) co_return Result<void>{};
  const std::string device = root_ + "/sys/bus/pci/devices/" + bdf;
  const std::string drivers = root_ + "/sys/bus/pci/drivers/";
  auto loaded = exists(drivers + driver);
  if (!loaded) co_return fail(std::move(loaded.error()));
  if (!*loaded) co_return fail(Errc::not_permitted, "dom0 has no driver \"" + driver + "\": load its module");

  std::vector<SysfsWrite> writes = {{device + "/driver_override", driver}};
  if (!(*before)->driver.empty()) writes.push_back({drivers + (*before)->driver + "/unbind", bdf, ENODEV});
  // pciback takes only what it was told to expect.
  if (driver == "pciback") writes.push_back({drivers + "pciback/new_slot", bdf, EEXIST});
  writes.push_back({drivers + driver + "/bind", bdf});
  Result<void> written = co_await helper_.write(bdf, std::move(writes), deadline);
  auto after = look(bdf);
  if (after && *after && (*after)->driver == driver)
    co_return Result<void>{};  // e.g. the kernel was faster than we
  if (!written) co_return written;
  if (!after) co_return fail(std::move(after.error()));
  if (!*after) co_return fail(absent(bdf));
  const std::string& has = (*after)->driver;
  co_return fail(Errc::io, "PCI function " + bdf + " was told to take driver " + driver + " and has " +
                               (has.empty() ? std::string("none") : has));
}

Task<Result<std::string>> SysfsPci::block_device(std::string bdf, std::string uuid, Deadline deadline) {
  if (!is_bdf(bdf)) co_return fail(bad_bdf(bdf));
  auto wanted = parse_uuid(uuid);
  if (!wanted) co_return fail(Errc::invalid_argument, "a namespace UUID was expected");
  // sysfs has no inotify, and dom0 need not run udev; so look, seldom enough to cost nothing.
  auto wait = 10ms;
  for (;;) {
    auto found = find_namespace(root_ + "/sys/bus/pci/devices/" + bdf, *wanted);
    if (!found) co_return fail(std::move(found.error()));
    if (*found) {
      const std::string path = root_ + "/dev/" + **found;
      auto node = exists(path);
      if (!node) co_return fail(std::move(node.error()));
      if (*node) co_return path;
    }
    const bool more = co_await pause(wait, deadline);
    if (!more)
      co_return fail(Errc::timeout,
                     "namespace " + *wanted + " did not appear in dom0 on PCI function " + bdf);
    wait = std::min(wait * 2, std::chrono::milliseconds(160));
  }
}

std::string SysfsPci::boot_id() {
  auto text = read_text(root_ + "/proc/sys/kernel/random/boot_id");
  return text && *text ? **text : std::string();
}

}  // namespace vnvme::host
