#include "dpu/kalray/slots.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "core/text.hpp"

namespace vnvme::dpu::kalray {
namespace {

constexpr std::array kK200{"volume_09", "volume_10", "volume_11", "volume_12"};
constexpr std::size_t kMostSlots = 64;

bool is_bdf(std::string_view text) {
  constexpr std::string_view kShape = "hhhh:hh:hh.o";
  if (text.size() != kShape.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    bool fits = kShape[i] == 'h' ? hex : kShape[i] == 'o' ? c >= '0' && c <= '7' : c == kShape[i];
    if (!fits) return false;
  }
  return true;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
             std::string_view::npos;
}

const Bound* on(const std::vector<Bound>& bound, std::string_view slot) {
  auto it = std::find_if(bound.begin(), bound.end(), [slot](const Bound& b) { return b.slot == slot; });
  return it == bound.end() ? nullptr : &*it;
}

}  // namespace

Result<std::vector<Slot>> make_slots(const std::vector<std::pair<std::string, std::string>>& configured) {
  std::vector<Slot> slots;
  if (configured.empty())
    for (const auto* name : kK200) slots.push_back({name, ""});
  std::set<std::string> addresses;
  for (const auto& [name, bdf] : configured) {
    auto wrong = [&name = name](const std::string& why) {
      return fail(Errc::invalid_argument, "functions: \"" + printable(name, 64) + "\" " + why);
    };
    if (!is_name(name))
      return wrong("is no name of a volume; accepted: 1 to 63 letters, digits, '-', '_', '.'");
    if (!is_bdf(bdf))
      return wrong("is \"" + printable(bdf, 32) + "\"; accepted: a PCI address as 0000:04:00.2");
    if (!addresses.insert(bdf).second) return wrong("is " + bdf + ", as another one; each has its own");
    if (slot_of(slots, name) != nullptr) return wrong("is there twice");
    if (slots.size() == kMostSlots)
      return fail(Errc::invalid_argument, "functions: more than " + std::to_string(kMostSlots));
    slots.push_back({name, bdf});
  }
  return slots;
}

const Slot* slot_of(const std::vector<Slot>& slots, std::string_view name) {
  auto it = std::find_if(slots.begin(), slots.end(), [name](const Slot& s) { return s.name == name; });
  return it == slots.end() ? nullptr : &*it;
}

std::optional<std::string> Lent::function_of(const std::string& serial) const {
  for (const auto& [slot, holder] : serials_)
    if (holder == serial) return slot;
  return std::nullopt;
}

std::string Lent::serial_of(const std::string& slot) const {
  auto it = serials_.find(slot);
  return it == serials_.end() ? "" : it->second;
}

Result<std::string> choose_slot(const std::vector<Slot>& slots, const Lent& lent,
                                const std::vector<Bound>& bound, const std::string& serial,
                                const FunctionId& preferred) {
  if (auto has = lent.function_of(serial)) return *has;
  auto open_to = [&](const Slot& slot, bool left_by_us) {
    const Bound* there = on(bound, slot.name);
    bool idle = there == nullptr || (left_by_us && !there->foreign());
    return idle && !slot.bdf.empty() && lent.serial_of(slot.name).empty();
  };
  const Slot* first = slot_of(slots, preferred.str());
  if (first != nullptr && open_to(*first, true)) return first->name;
  for (const auto& slot : slots)
    if (open_to(slot, false)) return slot.name;
  bool configured = std::any_of(slots.begin(), slots.end(), [](const Slot& s) { return !s.bdf.empty(); });
  if (!configured)
    return fail(
        Errc::not_supported,
        "nobody said which PCI functions of this host the card's volumes are bound to: dpus[].functions "
        "in vnvmed.json, e.g. {\"" +
            slots.front().name + "\": \"0000:04:00.2\"}");
  return fail(Errc::no_space, "the card has no idle function; it has " + std::to_string(slots.size()) +
                                  " and can make no more");
}

std::vector<Function> functions_of(const std::vector<Slot>& slots, const Lent& lent,
                                   const std::vector<Bound>& bound) {
  std::vector<Function> all;
  for (const auto& slot : slots) {
    Function f;
    f.id = FunctionId(slot.name);
    f.bdf = slot.bdf;
    f.serial = lent.serial_of(slot.name);
    f.virtual_function = true;
    f.ready = !f.serial.empty();
    const Bound* there = on(bound, slot.name);
    f.foreign = there != nullptr && there->foreign();
    all.push_back(std::move(f));
  }
  return all;
}

std::vector<Exposure> exposures_of(const std::vector<Bound>& bound) {
  std::vector<Exposure> all;
  all.reserve(bound.size());
  for (const auto& b : bound)
    all.push_back(Exposure{FunctionId(b.slot), 1, b.volume.id.str(), b.volume.id.str(), b.foreign()});
  return all;
}

}  // namespace vnvme::dpu::kalray
