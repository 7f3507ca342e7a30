#include "service/drive_check.hpp"

#include <cstring>

#include "core/log.hpp"
#include "model/names.hpp"
#include "service/spares.hpp"

namespace vnvme::service {
namespace {

constexpr std::size_t kLook = 1u << 20;  // at the beginning and at the end: partition tables, superblocks
using model::kScratchNsid;

// A megabyte at a time: each byte equals its neighbour, which memcmp compares in words and a loop one by one.
bool all_zero(const std::string& bytes) {
  return bytes.empty() ||
         (bytes[0] == '\0' && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

Task<Result<bool>> reads_zero(host::BlockDevice& device, std::uint64_t offset, std::size_t length,
                              Deadline deadline) {
  auto bytes = co_await device.read(offset, length, deadline);
  if (!bytes) co_return fail(std::move(bytes.error()));
  co_return all_zero(*bytes);
}

Task<Result<bool>> looks_empty(Core& core, std::string path, Deadline deadline) {
  auto device = co_await core.ports.blocks.open(path, deadline);
  if (!device) co_return fail(std::move(device.error()));
  std::uint64_t size = (*device)->size().value;
  std::size_t length = static_cast<std::size_t>(std::min<std::uint64_t>(kLook, size));
  auto head = co_await reads_zero(**device, 0, length, deadline);
  if (!head || !*head) co_return head;
  co_return co_await reads_zero(**device, size - length, length, deadline);
}

}  // namespace

DriveVerdict judge_use(const dpu::Drive& drive) {
  if (drive.claimed)
    return {false, "in use on the DPU" + (drive.used_by.empty() ? std::string() : " by " + drive.used_by)};
  return {true, "free"};
}

Task<Result<dpu::Function>> open_dom0_function(Core& core, Link& link, Deadline deadline) {
  const std::string serial(model::kDom0Serial);
  auto function = co_await link.dpu().open_function(serial, deadline);
  // The card may be full of spares. Where a function takes several steps, the last one finds that out: then
  // nobody can say that nothing happened, and opening it again goes on from there.
  if (!function &&
      (function.error().outcome == Outcome::not_done || function.error().code == Errc::no_space)) {
    bool room = co_await give_up_spare(core, link, deadline);
    if (room) function = co_await link.dpu().open_function(serial, deadline);
  }
  if (!function) co_return fail(std::move(function.error()));
  if (function->bdf.empty())
    co_return fail(Errc::not_supported, "functions of DPU " + link.id().value +
                                            " have no PCI address in this host, so dom0 cannot see them");
  auto bound = co_await core.ports.pci.bind_nvme(function->bdf, deadline);
  if (!bound) co_return fail(std::move(bound.error()));
  co_return std::move(*function);
}

Task<DriveVerdict> judge_contents(Core& core, Link& link, dpu::Drive drive, Deadline deadline) {
  DriveVerdict used = judge_use(drive);
  if (!used.takeable) co_return used;
  auto unknown = [](const Error& e) { return DriveVerdict{false, "contents unknown: " + e.text}; };
  auto function = co_await open_dom0_function(core, link, deadline);
  if (!function) co_return unknown(function.error());
  std::string uuid = random_uuid();
  dpu::Expose order{function->id, kScratchNsid, drive.name, uuid};
  auto exposed = co_await link.dpu().expose(order, deadline);
  DriveVerdict verdict;
  if (!exposed) {
    verdict = unknown(exposed.error());
  } else {
    auto path = co_await core.ports.pci.block_device(function->bdf, uuid, deadline);
    if (!path) {
      verdict = unknown(path.error());
    } else {
      auto empty = co_await looks_empty(core, *path, deadline);
      if (!empty)
        verdict = unknown(empty.error());
      else if (*empty)
        verdict = {true, "free and empty"};
      else
        verdict = {false, "holds data"};
    }
  }
  auto gone =
      co_await link.dpu().unexpose(function->id, kScratchNsid, Deadline::after(std::chrono::seconds(10)));
  if (!gone) {
    log::warning("a drive's temporary exposure is still there",
                 {{"drive", drive.name}, {"error", gone.error().describe()}});
    core.sweep_soon = true;
    core.work.notify();
  }
  co_return verdict;
}

}  // namespace vnvme::service
