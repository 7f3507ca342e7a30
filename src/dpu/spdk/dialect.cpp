#include "dpu/spdk/dialect.hpp"

#include "core/json.hpp"

namespace vnvme::dpu::spdk {

Result<Dialect> make_dialect(std::string_view methods, std::string_view version) {
  auto names = parse_json(methods, {.bytes = 1u << 20, .depth = 4, .values = 4096, .string_bytes = 256});
  if (!names) return fail(std::move(names.error()));
  auto about = parse_json(version, {.bytes = 64u << 10, .depth = 8, .values = 64, .string_bytes = 4096});
  if (!about) return fail(std::move(about.error()));
  Dialect d;
  if (!names->is_array()) return fail(Errc::protocol, "rpc_get_methods answered no list");
  for (const auto& name : *names)
    if (name.is_string()) d.methods.insert(name.get_ref<const std::string&>());
  if (!d.has("bdev_get_bdevs"))
    return fail(Errc::not_supported, "the target has no bdev_get_bdevs: it is no SPDK target");
  d.lvol_listing = d.has("bdev_lvol_get_lvols");
  d.size_in_mib = d.lvol_listing;  // both came with v23.05
  d.snap = d.has("nvme_function_create") || d.has("emulation_function_list");
  d.nvmf = d.has("nvmf_get_subsystems");
  d.identity.family = d.snap ? "snap" : "spdk";
  d.identity.version = text_of(*about, "version").value_or("unknown");
  // A fork may lie about its version: the first bdev_get_iostat that is refused for its keys turns this
  // round.
  if (const Json* fields = member(*about, "fields"); fields != nullptr) {
    auto major = number_of(*fields, "major").value_or(0);
    d.iostat_names = major >= 26;
  }
  return d;
}

Capabilities capabilities_of(const Dialect& d) {
  Capabilities c;
  c.thin = d.has("bdev_lvol_create");
  c.snapshot = d.has("bdev_lvol_snapshot");
  c.clone = d.has("bdev_lvol_clone");
  c.resize = d.has("bdev_lvol_resize");
  c.qos = d.has("bdev_set_qos_limit");
  c.late_binding = d.snap || d.nvmf;
  c.pci_functions = d.snap;
  c.create_functions = d.snap ? d.has("nvme_function_create") : d.has("nvmf_create_subsystem");
  // num_allocated_clusters came with bdev_lvol_get_lvols or a little later; a record without it says
  // "unknown".
  c.allocation_known = d.lvol_listing;
  c.namespaces_per_function = d.snap ? 1024 : 32;
  c.volume_name_bytes = 63;
  if (d.has("bdev_raid_create")) c.raid_levels = {"raid0", "raid1", "concat"};
  return c;
}

}  // namespace vnvme::dpu::spdk
