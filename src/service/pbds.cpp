#include "service/pbds.hpp"

#include "core/text.hpp"
#include "model/vm_plan.hpp"

namespace vnvme::service {
namespace {

using std::chrono::seconds;
constexpr const char* kDone = "pbds.boot";  // the boot for which it was done
constexpr auto kTheirs = seconds(30);       // XAPI plugs them itself when it starts: let it
constexpr auto kAgain = seconds(30);
constexpr auto kPlug = seconds(60);  // runs SR.attach and scans
constexpr unsigned kMost = 20;

bool ours(const std::string& type) {
  return type == "vnvme" || type == "vnvme-raw";
}

}  // namespace

Task<bool> Pbds::round() {
  const std::string boot = core_.ports.pci.boot_id();
  auto done = core_.world.notes().find(kDone);
  if (done != core_.world.notes().end() && done->second == boot) co_return true;
  const xapi::Picture& picture = core_.ports.watch->picture();
  const xapi::Host* self = model::own_host(picture, core_.world);
  if (self == nullptr || !model::is_credible(picture)) co_return true;  // no SR of ours yet
  std::vector<std::pair<xapi::Pbd, xapi::Sr>> unplugged;
  for (const auto& [ref, pbd] : picture.pbds) {
    const xapi::Sr* sr = xapi::Picture::find(picture.srs, pbd.SR);
    if (pbd.host != self->ref || pbd.currently_attached || sr == nullptr || !ours(sr->type)) continue;
    if (auto tried = attempts_.find(pbd.uuid); tried != attempts_.end() && tried->second.tries >= kMost)
      continue;
    unplugged.emplace_back(pbd, *sr);
  }
  for (const auto& [pbd, sr] : unplugged) {
    auto [at, fresh] = attempts_.try_emplace(pbd.uuid, Attempt{MonoClock::now() + kTheirs, 0});
    if (fresh || MonoClock::now() < at->second.next) continue;
    co_await plug(pbd, sr, at->second);
    if (core_.stopping()) co_return false;
  }
  if (!unplugged.empty()) co_return false;
  attempts_.clear();
  std::vector<Change> note{PutNote{kDone, boot}};
  auto stored = co_await core_.commit(std::move(note));
  co_return stored.has_value();
}

Task<void> Pbds::plug(const xapi::Pbd& pbd, const xapi::Sr& sr, Attempt& attempt) {
  const std::string object = "SR " + sr.uuid.value;
  auto plugged = co_await core_.ports.xapi->plug_pbd(pbd.ref, Deadline::after(kPlug));
  attempt.next = MonoClock::now() + kAgain;
  ++attempt.tries;
  if (plugged) {
    core_.event("info", object,
                "PBD " + pbd.uuid + " of SR " + sr.uuid.value + " (" + printable(sr.name_label, 40) +
                    ") was not plugged when this host booted: it is now");
    co_return;
  }
  if (attempt.tries == 1 || attempt.tries == kMost)
    core_.event("warning", object,
                "PBD " + pbd.uuid + " of SR " + sr.uuid.value +
                    " cannot be plugged after the boot: " + plugged.error().text +
                    (attempt.tries == 1 ? "; vnvmed tries again"
                                        : "; repair that and run `xe pbd-plug uuid=" + pbd.uuid + "`"));
}

}  // namespace vnvme::service
