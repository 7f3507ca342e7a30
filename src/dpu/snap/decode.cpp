#include "core/json.hpp"
#include "dpu/snap/snap.hpp"

namespace vnvme::dpu::snap {
namespace {

constexpr JsonLimits kRecord{.bytes = 4u << 20, .depth = 16, .values = 1u << 17, .string_bytes = 4096};
constexpr std::size_t kMaxVfs = 1024;

// "26:0c.1" -> "0000:26:0c.1"; "00:00.0" is a function that the host does not see.
std::string host_bdf(const std::string& bdf) {
  auto full = bdf.size() == 7 ? "0000:" + bdf : bdf;
  return full == "0000:00:00.0" ? "" : full;
}

std::string id_text(const Json& json, std::string_view name) {
  if (auto text = text_of(json, name)) return *text;
  if (auto number = number_of(json, name)) return std::to_string(*number);
  return {};
}

Result<SnapFunction> decode_function(const Json& json, bool vf) {
  SnapFunction f;
  auto vuid = text_of(json, "vuid");
  if (!vuid || vuid->empty()) return fail(Errc::protocol, "an emulation function without VUID");
  f.vuid = *vuid;
  f.bdf = host_bdf(text_of(json, "pci_bdf").value_or(""));
  f.controller = id_text(json, "ctrl_id");
  f.vhca = number_of(json, "vhca_id");
  f.hotplugged = flag_of(json, "hotplugged").value_or(false);
  f.virtual_function = vf;
  return f;
}

// "NVME" or "NVMe": both spellings were seen.
bool nvme(const Json& json) {
  auto type = text_of(json, "emulation_type").value_or("NVME");
  for (char& c : type) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return type == "NVME";
}

Result<void> decode_one(std::string_view text, std::vector<SnapFunction>& into) {
  auto json = parse_json(text, kRecord);
  if (!json) return fail(std::move(json.error()));
  if (!nvme(*json)) return {};
  auto pf = decode_function(*json, false);
  if (!pf) return fail(std::move(pf.error()));
  into.push_back(std::move(*pf));
  const Json* vfs = member(*json, "vfs");
  if (vfs == nullptr) return {};
  if (!vfs->is_array() || vfs->size() > kMaxVfs) return fail(Errc::protocol, "an impossible list of VFs");
  for (const auto& one : *vfs) {
    if (!nvme(one)) continue;
    auto vf = decode_function(one, true);
    if (!vf) return fail(std::move(vf.error()));
    into.push_back(std::move(*vf));
  }
  return {};
}

Result<SnapNamespace> decode_namespace(const Json& json) {
  auto nsid = number_of(json, "nsid");
  auto bdev = text_of(json, "bdev");
  if (!bdev) bdev = text_of(json, "bdev_name");
  if (!nsid || *nsid == 0 || *nsid > UINT32_MAX || !bdev)
    return fail(Errc::protocol, "a namespace without nsid or bdev");
  auto uuid = text_of(json, "uuid").value_or("");
  return SnapNamespace{static_cast<std::uint32_t>(*nsid), parse_uuid(*bdev).value_or(*bdev),
                       parse_uuid(uuid).value_or(uuid)};
}

Result<SnapController> decode_controller(const Json& json) {
  SnapController c;
  c.id = id_text(json, "ctrl_id");
  if (c.id.empty()) return fail(Errc::protocol, "a controller without ctrl_id");
  c.state = text_of(json, "state").value_or("");
  c.vhca = number_of(json, "vhca_id");
  c.plugged = flag_of(json, "plugged").value_or(false);
  if (const Json* namespaces = member(json, "namespaces"); namespaces != nullptr && namespaces->is_array())
    for (const auto& ns : *namespaces)
      if (auto nsid = number_of(ns, "nsid"); nsid && *nsid <= UINT32_MAX)
        c.attached.push_back(static_cast<std::uint32_t>(*nsid));
  return c;
}

Result<SnapSubsystem> decode_subsystem(std::string_view text) {
  auto json = parse_json(text, kRecord);
  if (!json) return fail(std::move(json.error()));
  SnapSubsystem s;
  auto nqn = text_of(*json, "nqn");
  const Json* controllers = member(*json, "controllers");
  const Json* namespaces = member(*json, "namespaces");
  if (!nqn || controllers == nullptr || !controllers->is_array() || namespaces == nullptr ||
      !namespaces->is_array())
    return fail(Errc::protocol, "a subsystem without NQN, controllers or namespaces");
  s.nqn = *nqn;
  s.serial = text_of(*json, "sn").value_or("");
  for (const auto& one : *controllers) {
    auto c = decode_controller(one);
    if (!c) return fail(std::move(c.error()));
    s.controllers.push_back(std::move(*c));
  }
  for (const auto& one : *namespaces) {
    auto ns = decode_namespace(one);
    if (!ns) return fail(std::move(ns.error()));
    s.namespaces.push_back(std::move(*ns));
  }
  return s;
}

}  // namespace

Result<std::vector<SnapFunction>> decode_functions(std::string_view result) {
  std::vector<SnapFunction> all;
  auto done = rpc::each_element(result, [&all](std::string_view text) { return decode_one(text, all); });
  if (!done) return fail(std::move(done.error()));
  return all;
}

Result<std::vector<SnapSubsystem>> decode_snap_subsystems(std::string_view result) {
  std::vector<SnapSubsystem> all;
  auto done = rpc::each_element(result, [&all](std::string_view text) -> Result<void> {
    auto s = decode_subsystem(text);
    if (!s) return fail(std::move(s.error()));
    all.push_back(std::move(*s));
    return {};
  });
  if (!done) return fail(std::move(done.error()));
  return all;
}

}  // namespace vnvme::dpu::snap
