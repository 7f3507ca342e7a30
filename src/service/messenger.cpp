#include "service/messenger.hpp"

#include <algorithm>

#include "core/log.hpp"
#include "service/link.hpp"

namespace vnvme::service {
namespace {

using std::chrono::seconds;
constexpr auto kStep = seconds(10);
constexpr auto kLook = seconds(30);
constexpr std::size_t kEventsAtOnce = 4096;

model::Seconds clock_now() {
  return std::chrono::duration_cast<model::Seconds>(MonoClock::now().time_since_epoch());
}

std::string name_of(const Core& core, const DpuId& id) {
  for (const auto& [name, uri] : core.options.dpu_names)
    if (uri == id) return name;
  return id.value;
}

}  // namespace

Task<void> Messenger::run() {
  if (core_.ports.xapi == nullptr || core_.ports.watch == nullptr) co_return;
  notices_.restore(core_.world.notes(), clock_now());
  while (!core_.stopping()) {
    co_await round();
    // Also woken by the end of the daemon.
    const auto next = Deadline::after(kLook);
    while (!core_.stopping() && !next.passed()) co_await core_.released.wait(next);
  }
}

void Messenger::read_events() {
  for (const Event& event : core_.ports.events.since(read_, kEventsAtOnce)) {
    read_ = event.seq;
    auto topic = model::topic_of(event.text);
    notices_.raise({topic, event.object, event.text}, clock_now());
  }
}

Task<std::map<DpuId, std::vector<dpu::Raid>>> Messenger::raids() {
  std::vector<Link*> wanted;
  for (const auto& [id, link] : core_.links())
    if (link->is_ready() &&
        std::any_of(core_.world.srs().begin(), core_.world.srs().end(), [&id = id](const auto& sr) {
          return sr.second.dpu == id && !sr.second.raid_name.empty();
        }))
      wanted.push_back(link.get());
  std::map<DpuId, std::vector<dpu::Raid>> out;
  for (Link* link : wanted) {
    auto list = co_await link->dpu().list_raids(Deadline::after(kStep));
    if (list) out[link->id()] = std::move(*list);
  }
  co_return out;
}

// Volumes that the view lacks may only have come back with their pool since it was made: those pools are
// listed anew. Nothing: that did not work.
Task<Messenger::Lists> Messenger::doubtful_lists() {
  std::vector<std::pair<Link*, PoolId>> wanted;
  for (const auto& [id, sr] : core_.world.srs()) {
    auto link = core_.links().find(sr.dpu);
    if (link == core_.links().end() || !link->second->is_ready()) continue;
    const PoolView* view = link->second->view(sr.pool);
    if (view != nullptr && model::count_missing(sr, core_.world, view->volumes) > 0)
      wanted.emplace_back(link->second.get(), sr.pool);
  }
  Lists out;
  for (const auto& [link, pool] : wanted) {
    auto list = co_await link->dpu().list_volumes(pool, Deadline::after(kStep));
    auto& slot = out[pool];
    if (!list) continue;
    slot.emplace();
    for (auto& volume : *list) slot->emplace(volume.id.value, std::move(volume));
  }
  co_return out;
}

// The views stay where they are, in the links: they are read before anything is awaited again.
Task<model::DpusSeen> Messenger::look() {
  auto known = co_await raids();
  auto lists = co_await doubtful_lists();
  model::DpusSeen out;
  for (const auto& [id, link] : core_.links()) {
    model::DpuSeen& seen = out[id];
    seen.name = name_of(core_, id);
    seen.ready = link->is_ready();
    seen.trouble = link->dpu().trouble();
    auto raids_here = known.find(id);
    if (raids_here != known.end()) seen.raids = std::move(raids_here->second);
    for (const auto& [pool, view] : link->views()) {
      model::PoolSeen& one = seen.pools[pool];
      one.pool = view.pool;
      one.volumes = &view.volumes;
      auto list = lists.find(pool);
      if (list == lists.end()) continue;
      one.certain = list->second.has_value();
      if (!one.certain) continue;
      one.fresh = std::move(*list->second);
      one.volumes = &one.fresh;
    }
  }
  co_return out;
}

Task<void> Messenger::round() {
  read_events();
  auto seen = co_await look();
  // XAPI, or its picture, may be away: then nothing is known of its VMs.
  const bool current = core_.ports.watch->current();
  if (!current) co_return;
  const auto now = clock_now();
  const xapi::Picture& picture = core_.ports.watch->picture();
  if (!model::is_credible(picture)) co_return;
  auto troubles = model::find_troubles(picture, core_.world, seen, notices_);
  for (model::Notice& one : troubles.found) notices_.raise(std::move(one), now);
  for (const auto& [topic, object] : troubles.unknown) notices_.keep(topic, object, now);
  notices_.expire(now);
  bool saved = co_await save();
  while (saved && !core_.stopping()) {
    auto key = notices_.due(clock_now());
    if (!key) break;
    saved = co_await tell(std::move(*key));
  }
}

// False: not now, and nothing else either.
Task<bool> Messenger::tell(model::Notices::Key key) {
  const model::Notices::Key about = std::move(key);
  auto notice = notices_.begin(about);
  if (!notice) {
    bool kept = co_await save();
    co_return kept;
  }
  const xapi::Picture& picture = core_.ports.watch->picture();
  auto message = model::message_of(*notice, picture, model::own_host(picture, core_.world));
  if (!message) {
    notices_.settle(about, model::Notices::Came::refused, clock_now());
    co_return false;
  }
  bool saved = co_await save();
  if (!saved) {  // dom0's disk is full: an attempt that leaves no trace is not made
    notices_.settle(about, model::Notices::Came::refused, clock_now());
    co_return false;
  }
  const std::string name = message->name, uuid = message->uuid;
  const xapi::Message order = *message;
  auto sent = co_await core_.ports.xapi->create_message(order, Deadline::after(kStep));
  auto came = model::Notices::Came::told;
  if (!sent && sent.error().outcome == Outcome::not_done) came = model::Notices::Came::refused;
  if (!sent && sent.error().outcome == Outcome::unknown) came = model::Notices::Came::unknown;
  notices_.settle(about, came, clock_now());
  if (sent) log::info("a message was sent to XAPI", {{"message", name}, {"object", uuid}});
  if (!sent)
    log::warning("a message could not be sent to XAPI",
                 {{"message", name}, {"object", uuid}, {"error", sent.error().describe()}});
  saved = co_await save();
  co_return saved&& came == model::Notices::Came::told;
}

Task<bool> Messenger::save() {
  auto wanted = notices_.unsaved();
  if (wanted.empty()) co_return true;
  std::vector<Change> changes;
  for (const auto& [note, value] : wanted) {
    if (value.empty())
      changes.push_back(EraseNote{note});
    else
      changes.push_back(PutNote{note, value});
  }
  auto stored = co_await core_.commit(std::move(changes));
  if (stored)
    for (const auto& [note, value] : wanted) notices_.saved(note, value);
  std::string why = stored ? "" : stored.error().describe();
  if (!why.empty() && trouble_.empty())
    log::warning("what was told to XAPI cannot be remembered", {{"error", why}});
  trouble_ = std::move(why);
  co_return stored.has_value();
}

}  // namespace vnvme::service
