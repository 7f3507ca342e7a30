#include "smapi/methods.hpp"

#include "smapi/encode.hpp"

// Parameters of coroutines are taken by value and moved on from named locals:
// g++ 12 destroys temporaries in the arguments of a co_await too early.
namespace vnvme::smapi {
namespace {

using Text = Result<std::string>;

Text unit(Result<void> result) {
  if (!result) return fail(std::move(result.error()));
  return encode_unit();
}

template <class T, class Encode>
Text encoded(Result<T> result, Encode encode) {
  if (!result) return fail(std::move(result.error()));
  return encode(*result);
}

Task<Text> diagnostics(Handler&, Context, Args) {
  co_return encode_text("vnvmed " VNVME_VERSION " answers");
}

Task<Text> sr_probe(Handler& h, Context c, Args a) {
  auto configuration = a.map("configuration");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.sr_probe(std::move(c), std::move(configuration));
  co_return encoded(std::move(r), encode_probe);
}

Task<Text> sr_create(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("uuid");
  auto configuration = a.map("configuration");
  auto name = a.text("name"), description = a.text("description");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.sr_create(std::move(c), std::move(sr), std::move(configuration), std::move(name),
                                std::move(description));
  co_return encoded(std::move(r), encode_configuration);
}

Task<Text> sr_attach(Handler& h, Context c, Args a) {
  auto configuration = a.map("configuration");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.sr_attach(std::move(c), std::move(configuration));
  co_return encoded(std::move(r), [](const SrId& sr) { return encode_text(sr.value); });
}

Task<Text> sr_stat(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.sr_stat(std::move(c), std::move(sr));
  co_return encoded(std::move(r), encode_sr_stat);
}

Task<Text> sr_ls(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.sr_ls(std::move(c), std::move(sr));
  co_return encoded(std::move(r), encode_volumes);
}

// SR.detach, SR.destroy
template <Task<Result<void>> (Handler::*call)(Context, SrId)>
Task<Text> on_sr(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await (h.*call)(std::move(c), std::move(sr));
  co_return unit(std::move(r));
}

Task<Text> sr_set_name(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto text = a.text("new_name");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.sr_set_name(std::move(c), std::move(sr), std::move(text));
  co_return unit(std::move(r));
}

Task<Text> sr_set_description(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto text = a.text("new_description");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.sr_set_description(std::move(c), std::move(sr), std::move(text));
  co_return unit(std::move(r));
}

Task<Text> volume_create(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto name = a.text("name"), description = a.text("description");
  auto size = a.size("size");
  auto sharable = a.flag("sharable");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.volume_create(std::move(c), std::move(sr), std::move(name), std::move(description),
                                    size, sharable);
  co_return encoded(std::move(r), encode_volume);
}

// Volume.stat, Volume.snapshot, Volume.clone
template <Task<Result<Volume>> (Handler::*call)(Context, SrId, VolumeId)>
Task<Text> volume_of(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto key = a.id<VolumeId>("key");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await (h.*call)(std::move(c), std::move(sr), std::move(key));
  co_return encoded(std::move(r), encode_volume);
}

Task<Text> volume_destroy(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto key = a.id<VolumeId>("key");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.volume_destroy(std::move(c), std::move(sr), std::move(key));
  co_return unit(std::move(r));
}

Task<Text> volume_set_name(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto key = a.id<VolumeId>("key");
  auto text = a.text("new_name");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.volume_set_name(std::move(c), std::move(sr), std::move(key), std::move(text));
  co_return unit(std::move(r));
}

Task<Text> volume_set_description(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto key = a.id<VolumeId>("key");
  auto text = a.text("new_description");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.volume_set_description(std::move(c), std::move(sr), std::move(key), std::move(text));
  co_return unit(std::move(r));
}

Task<Text> volume_set(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto key = a.id<VolumeId>("key");
  auto k = a.text("k"), v = a.text("v");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.volume_set(std::move(c), std::move(sr), std::move(key), std::move(k), std::move(v));
  co_return unit(std::move(r));
}

Task<Text> volume_unset(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto key = a.id<VolumeId>("key");
  auto k = a.text("k");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.volume_unset(std::move(c), std::move(sr), std::move(key), std::move(k));
  co_return unit(std::move(r));
}

Task<Text> volume_resize(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto key = a.id<VolumeId>("key");
  auto size = a.size("new_size");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.volume_resize(std::move(c), std::move(sr), std::move(key), size);
  co_return unit(std::move(r));
}

Task<Text> volume_revert(Handler& h, Context c, Args a) {
  auto sr = a.id<SrId>("sr");
  auto snapshot = a.id<VolumeId>("snapshot");
  auto key = a.id<VolumeId>("key");
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.volume_revert(std::move(c), std::move(sr), std::move(snapshot), std::move(key));
  co_return unit(std::move(r));
}

Task<Text> datapath_attach(Handler& h, Context c, Args a) {
  auto uri = a.text("uri", kUriLimit), domain = a.text("domain", kIdLimit);
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.datapath_attach(std::move(c), std::move(uri), std::move(domain));
  co_return encoded(std::move(r), encode_backend);
}

template <bool read_only>
Task<Text> datapath_activate(Handler& h, Context c, Args a) {
  auto uri = a.text("uri", kUriLimit), domain = a.text("domain", kIdLimit);
  if (a.failed()) co_return fail(a.error());
  auto r = co_await h.datapath_activate(std::move(c), std::move(uri), std::move(domain), read_only);
  co_return unit(std::move(r));
}

// Datapath.deactivate, Datapath.detach
template <Task<Result<void>> (Handler::*call)(Context, std::string, std::string)>
Task<Text> datapath_leave(Handler& h, Context c, Args a) {
  auto uri = a.text("uri", kUriLimit), domain = a.text("domain", kIdLimit);
  if (a.failed()) co_return fail(a.error());
  auto r = co_await (h.*call)(std::move(c), std::move(uri), std::move(domain));
  co_return unit(std::move(r));
}

constexpr Method kTable[] = {
    {"Plugin.diagnostics", diagnostics},
    {"SR.probe", sr_probe},
    {"SR.create", sr_create},
    {"SR.attach", sr_attach},
    {"SR.detach", on_sr<&Handler::sr_detach>},
    {"SR.destroy", on_sr<&Handler::sr_destroy>},
    {"SR.stat", sr_stat},
    {"SR.ls", sr_ls},
    {"SR.set_name", sr_set_name},
    {"SR.set_description", sr_set_description},
    {"Volume.create", volume_create},
    {"Volume.snapshot", volume_of<&Handler::volume_snapshot>},
    {"Volume.clone", volume_of<&Handler::volume_clone>},
    {"Volume.destroy", volume_destroy},
    {"Volume.stat", volume_of<&Handler::volume_stat>},
    {"Volume.set_name", volume_set_name},
    {"Volume.set_description", volume_set_description},
    {"Volume.set", volume_set},
    {"Volume.unset", volume_unset},
    {"Volume.resize", volume_resize},
    {"Volume.revert", volume_revert},
    {"Datapath.attach", datapath_attach},
    {"Datapath.activate", datapath_activate<false>},
    {"Datapath.activate_readonly", datapath_activate<true>},
    {"Datapath.deactivate", datapath_leave<&Handler::datapath_deactivate>},
    {"Datapath.detach", datapath_leave<&Handler::datapath_detach>},
};

}  // namespace

const Method* find_daemon_method(std::string_view name) {
  for (const auto& m : kTable)
    if (m.name == name) return &m;
  return nullptr;
}

}  // namespace vnvme::smapi
