// Members of an answer as words for a table; absent ones are empty or a dash.
#pragma once
#include <string>

#include "core/json.hpp"
#include "vnvme/units.hpp"

namespace vnvme::cli {

inline std::string word(const Json& object, std::string_view name) {
  const Json* v = member(object, name);
  if (v == nullptr) return "";
  if (v->is_string()) return v->get<std::string>();
  if (v->is_boolean()) return v->get<bool>() ? "yes" : "no";
  return v->is_number() ? dump_json(*v) : "";
}
inline bool yes(const Json& object, std::string_view name) {
  return flag_of(object, name).value_or(false);
}
inline std::uint64_t number(const Json& object, std::string_view name) {
  return number_of(object, name).value_or(0);
}
inline std::string size_word(const Json& object, std::string_view name) {
  auto n = number_of(object, name);
  return n ? human(Bytes{*n}) : "-";
}
// The list in an answer: the answer itself or one of its members; an empty one when there is none.
inline const Json& rows(const Json& answer, std::string_view name = "") {
  static const Json none = Json::array();
  if (answer.is_array()) return answer;
  const Json* v = member(answer, name);
  return v != nullptr && v->is_array() ? *v : none;
}
// "vm:1b4e..." -> "VM 1b4e...", "dom0" -> "dom0"
inline std::string owner_word(const std::string& owner) {
  return owner.starts_with("vm:") ? "VM " + owner.substr(3) : owner;
}
// Where the host sees it, or the DPU's own name of it while it does not; of an NQN only the part that
// differs.
inline std::string function_word(const Json& object) {
  std::string bdf = word(object, "bdf");
  if (!bdf.empty()) return bdf;
  std::string id = word(object, "function");
  return id.starts_with("nqn.") ? id.substr(id.rfind(':') + 1) : id;
}
// The name that the configuration gives a DPU; its address when it has none there.
inline std::string dpu_word(const Json& dpu) {
  std::string name = word(dpu, "name");
  return name.empty() ? word(dpu, "dpu") : name;
}

}  // namespace vnvme::cli
