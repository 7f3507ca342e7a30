// The functions of a Kalray card. Its own configuration (/etc/kalray/ on the card) says which name of a
// volume is bound to which of them; nothing about them can be asked or changed over JSON-RPC. Pure.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vnvme/dpu.hpp"

namespace vnvme::dpu::kalray {

// The lvol store whose volumes the card binds: names are configured as "lvs/volume_09".
inline constexpr std::string_view kStore = "lvs";

struct Slot {
  std::string name;  // of the volume that is bound to it; also the function's id
  std::string bdf;   // 0000:BB:DD.F; empty: not configured
};

// What stands behind a slot's name right now.
struct Bound {
  std::string slot;
  DpuVolume volume;  // with the name that it has on the card
  std::string own;   // its own name; empty: nobody knows this volume
  [[nodiscard]] bool foreign() const { return own.empty(); }
};

// From the configuration; empty gives the K200LP's four names. Errors name what is wrong and what is
// accepted.
Result<std::vector<Slot>> make_slots(const std::vector<std::pair<std::string, std::string>>& configured);
const Slot* slot_of(const std::vector<Slot>& slots, std::string_view name);

// Which function belongs to which serial. The card keeps no such thing: the mapping lives as long as this
// object, and whoever opened a function before names it again as the preferred one.
class Lent {
 public:
  [[nodiscard]] std::optional<std::string> function_of(const std::string& serial) const;
  [[nodiscard]] std::string serial_of(const std::string& slot) const;
  void give(const std::string& slot, const std::string& serial) { serials_[slot] = serial; }
  void take_back(const std::string& slot) { serials_.erase(slot); }

 private:
  std::map<std::string, std::string> serials_;
};

// The slot for that serial: the one that it has; the preferred one, also with a volume of ours on it, because
// that is how it was left; else one that is idle. Errc::no_space when there is none.
Result<std::string> choose_slot(const std::vector<Slot>& slots, const Lent& lent,
                                const std::vector<Bound>& bound, const std::string& serial,
                                const FunctionId& preferred);

std::vector<Function> functions_of(const std::vector<Slot>& slots, const Lent& lent,
                                   const std::vector<Bound>& bound);
std::vector<Exposure> exposures_of(const std::vector<Bound>& bound);

}  // namespace vnvme::dpu::kalray
