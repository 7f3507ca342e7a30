#include "host/marker_backend.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/log.hpp"

namespace vnvme::host {
namespace {

using std::chrono::seconds;
constexpr auto kAnew = seconds(60);
constexpr auto kAsk = seconds(5);
constexpr auto kPause = seconds(1);
constexpr int kTries = 16;  // of a transaction that others run into
constexpr std::size_t kToldMost = 4096;

std::string object_of(std::uint32_t domid, std::uint32_t device) {
  return "domain " + std::to_string(domid) + " device " + std::to_string(device);
}

}  // namespace

Task<void> MarkerBackend::run() {
  running_ = true;
  while (!stopping_) {
    auto served = co_await serve();
    if (stopping_) break;
    if (served) continue;
    if (trouble_.empty()) log::warning("xenstore cannot be watched", {{"error", served.error().describe()}});
    trouble_ = served.error().text;
    Timer timer(co_await boost::asio::this_coro::executor, MonoClock::now() + kPause);
    pausing_ = &timer;
    co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    pausing_ = nullptr;
  }
  running_ = false;
}

void MarkerBackend::stop() {
  stopping_ = true;
  if (watching_ != nullptr) watching_->close();
  if (pausing_ != nullptr) pausing_->cancel();
}

Task<Result<void>> MarkerBackend::serve() {
  auto executor = co_await boost::asio::this_coro::executor;
  XenstoreConnection events(executor), xenstore(executor);
  auto ready = co_await events.open(path_, Deadline::after(kAsk));
  if (ready) ready = co_await xenstore.open(path_, Deadline::after(kAsk));
  if (ready) ready = co_await events.watch(std::string(kMarkerRoot), Deadline::after(kAsk));
  if (!ready) co_return ready;
  if (!trouble_.empty()) log::info("xenstore is watched again", {});
  trouble_.clear();
  struct Watching {
    XenstoreConnection*& slot;
    ~Watching() { slot = nullptr; }
  } watching{watching_};
  watching_ = &events;
  const Deadline end = Deadline::after(kAnew);
  while (!stopping_) {
    auto path = co_await events.event(end);
    if (!path && end.passed()) co_return Result<void>{};
    if (!path) co_return fail(std::move(path.error()));
    auto at = parse_marker_path(*path);
    if (!at) continue;
    auto looked = co_await look(xenstore, std::move(*at), Deadline::after(kAsk));
    if (!looked) co_return looked;
  }
  co_return Result<void>{};
}

Task<Result<void>> MarkerBackend::look(XenstoreConnection& xenstore, MarkerPath at, Deadline deadline) {
  if (at.device) {
    bool matters = at.rest.empty() || at.rest == "hotplug-status" || at.rest == "state";
    if (!matters) co_return Result<void>{};
    co_return co_await settle(xenstore, *at.domid, *at.device, deadline);
  }
  if (at.domid) co_return co_await look_at_domain(xenstore, *at.domid, deadline);
  told_.clear();
  auto domains = co_await xenstore.list(std::string(kMarkerRoot), deadline);
  if (!domains) co_return fail(std::move(domains.error()));
  for (const std::string& name : *domains) {
    auto domain = parse_marker_path(std::string(kMarkerRoot) + "/" + name);
    if (!domain || !domain->domid) continue;
    auto looked = co_await look_at_domain(xenstore, *domain->domid, Deadline::after(kAsk));
    if (!looked) co_return looked;
  }
  co_return Result<void>{};
}

Task<Result<void>> MarkerBackend::look_at_domain(XenstoreConnection& xenstore, std::uint32_t domid,
                                                 Deadline deadline) {
  std::string root = std::string(kMarkerRoot) + "/" + std::to_string(domid);
  auto devices = co_await xenstore.list(root, deadline);
  if (!devices) co_return fail(std::move(devices.error()));
  for (const std::string& name : *devices) {
    auto node = parse_marker_path(root + "/" + name);
    if (!node || !node->device) continue;
    auto settled = co_await settle(xenstore, domid, *node->device, deadline);
    if (!settled) co_return settled;
  }
  co_return Result<void>{};
}

Task<Result<MarkerNode>> MarkerBackend::read(XenstoreConnection& xenstore, std::uint32_t transaction,
                                             std::string node, Deadline deadline) {
  MarkerNode out;
  auto key = co_await xenstore.read(transaction, node + "/sm-data/" + std::string(kMarkerKey), deadline);
  if (!key) co_return fail(std::move(key.error()));
  out.ours = key->has_value();
  auto status = co_await xenstore.read(transaction, node + "/hotplug-status", deadline);
  if (!status) co_return fail(std::move(status.error()));
  out.hotplug_status = status->value_or("");
  auto state = co_await xenstore.read(transaction, node + "/state", deadline);
  if (!state) co_return fail(std::move(state.error()));
  out.state = state->value_or("");
  co_return out;
}

// In a transaction: xenopsd may take the node away at any moment, and a write would make it again.
Task<Result<void>> MarkerBackend::settle(XenstoreConnection& xenstore, std::uint32_t domid,
                                         std::uint32_t device, Deadline deadline) {
  const std::string node = marker_node(domid, device);
  for (int tries = 0; tries < kTries; ++tries) {
    auto transaction = co_await xenstore.begin(deadline);
    if (!transaction) co_return fail(std::move(transaction.error()));
    auto seen = co_await read(xenstore, *transaction, node, deadline);
    if (!seen) co_return fail(std::move(seen.error()));
    auto action = marker_action(*seen);
    bool closes = action == MarkerAction::close;
    if (closes) {
      std::string closed(kXenbusClosed);
      auto written = co_await xenstore.write(*transaction, node + "/state", std::move(closed), deadline);
      if (!written) co_return written;
    }
    auto kept = co_await xenstore.end(*transaction, closes, deadline);
    if (!kept) co_return fail(std::move(kept.error()));
    if (closes && !*kept) continue;  // something changed: look again
    if (closes) log::info("closed a marker at its birth", {{"node", node}});
    if (seen->ours) warn(domid, device, action);
    co_return Result<void>{};
  }
  co_return fail(Errc::busy, "xenstore: " + node + " keeps changing");
}

void MarkerBackend::warn(std::uint32_t domid, std::uint32_t device, MarkerAction action) {
  bool served = action == MarkerAction::conflict;
  bool disk = is_emulated_disk(device);
  if (!served && !disk) return;
  if (told_.size() >= kToldMost || !told_.emplace(domid, device).second) return;
  if (served)
    tell_("error", object_of(domid, device),
          "the host's QEMU serves the 9pfs marker of domain " + std::to_string(domid) +
              " itself: the guest may hang at boot for minutes. vnvme needs a QEMU without virtfs, as "
              "XCP-ng's is");
  if (disk)
    tell_("warning", object_of(domid, device),
          "a VBD of domain " + std::to_string(domid) +
              " has userdevice 0 to 3: its guest sees vnvme's marker file as an extra IDE disk. Shut the VM "
              "down and give the VBD a userdevice of 4 or more");
}

}  // namespace vnvme::host
