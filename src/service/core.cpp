#include "service/core.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "core/log.hpp"
#include "core/text.hpp"
#include "service/link.hpp"

namespace vnvme::service {

Core::Core(Ports given, Options opts) : ports(std::move(given)), options(std::move(opts)) {}
Core::~Core() = default;

Task<Result<void>> Core::load() {
  auto snapshot = co_await ports.store.load();
  if (!snapshot) co_return fail(std::move(snapshot.error()));
  fresh_store = snapshot->fresh;
  world = model::World(std::move(*snapshot));
  co_return Result<void>{};
}

Task<Result<void>> Core::commit(Changes wanted) {
  std::vector<Change> changes = wanted.take();
  auto stored = co_await ports.store.commit(changes);
  if (!stored) co_return fail(std::move(stored.error()));
  world.apply(changes);
  co_return Result<void>{};
}

Result<Link*> Core::link(const DpuId& dpu) {
  auto it = links_.find(dpu);
  if (it != links_.end()) return it->second.get();
  if (dpu.value.find(':') == std::string::npos) {
    std::vector<std::string> names;
    for (const auto& [name, uri] : options.dpu_names) names.push_back(name);
    return fail(Errc::invalid_argument,
                "there is no DPU \"" + printable(dpu.value, 80) + "\" in vnvmed.json, " +
                    (names.empty() ? "which names none" : "which names " + join(names, ", ")) +
                    "; an address would be unix:/path, tcp:ADDRESS:PORT or kalray:ADDRESS:PORT");
  }
  auto client = ports.open_dpu(dpu);
  if (!client) return fail(std::move(client.error()));
  auto made = std::make_unique<Link>(*this, dpu, std::move(*client));
  Link* raw = made.get();
  links_.emplace(dpu, std::move(made));
  raw->start();
  return raw;
}

DpuId Core::resolve_dpu(const std::string& name_or_uri) const {
  auto it = options.dpu_names.find(name_or_uri);
  return it == options.dpu_names.end() ? DpuId(name_or_uri) : it->second;
}

void Core::spawn(std::function<Task<void>()> body) {
  if (stopping_) return;
  ++running_;
  boost::asio::co_spawn(
      ports.executor, [run = std::move(body)]() -> Task<void> { co_await run(); },
      [this](std::exception_ptr failure) {
        --running_;
        // Only bad_alloc and the like come this way: going on with half a step done would be a guess.
        if (failure) std::rethrow_exception(failure);
      });
}

void Core::stop() {
  stopping_ = true;
  for (auto& [id, link] : links_) link->stop();
  work.notify();
  released.notify();
}

void Core::event(std::string_view level, const std::string& object, const std::string& text) {
  ports.events.add(level, object, text);
  auto severity = level == "error"     ? log::Level::error
                  : level == "warning" ? log::Level::warning
                                       : log::Level::info;
  log::write(severity, text, {{"object", object}});
}

}  // namespace vnvme::service
