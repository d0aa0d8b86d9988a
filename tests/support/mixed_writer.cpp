/*
 * mixed_writer.cpp - writes frames as it is told to, through Dao::Shm; mixed.h has the commands.
 * What the class has no methods for, keywords and parts, goes through dao.h. One thread.
 */
#include <chrono>
#include <map>
#include <memory>
#include <sstream>
#include <thread>

#include "lib/daoShm.hpp"
#include "tests/support/mixed.h"

/* The segment, whatever its type. */
class Target
{
  public:
    virtual ~Target() = default;
    virtual void write() = 0;
    virtual void write_parts(uint64_t id) = 0;
    virtual uint64_t count() const = 0;
};

static void check(int_fast8_t status, const char *what)
{
    if (status != DAO_SUCCESS)
        throw std::runtime_error(what);
}

template <typename T> static std::vector<T> ramp(uint64_t cnt0, size_t elements)
{
    std::vector<T> frame(elements);

    ramp_fill(frame.data(), Dao::detail::element_code<T>, cnt0, elements);
    return frame;
}

template <typename T> class TargetOf : public Target
{
  public:
    TargetOf(const std::string &path, const Dao::Shape &shape, uint32_t depth, int nbkw)
        : path_(path), shm_(create(path, shape, depth, nbkw))
    {
    }

    void write() override
    {
        check(shm_.set_frame(ramp<T>(count() + 1, shm_.get_element_count()).data()), "set_frame");
    }

    void write_parts(uint64_t id) override
    {
        auto frame = ramp<T>(count() + 1, shm_.get_element_count());
        const auto elements = static_cast<uint32_t>(frame.size()), half = elements / 2;
        IMAGE image;

        check(daoShmShm2Img(path_.c_str(), &image), "open");
        check(
            daoShmImagePart2Shm(reinterpret_cast<char *>(frame.data()), half, &image, 0, 0, 2, id),
            "part 0");
        check(daoShmImagePart2Shm(reinterpret_cast<char *>(frame.data() + half), elements - half,
                                  &image, half, 1, 2, id),
              "part 1");
        check(daoShmImagePart2ShmFinalize(&image), "finalize");
        check(daoShmCloseShm(&image), "close");
    }

    uint64_t count() const override
    {
        return shm_.get_counter();
    }

  private:
    /* The class makes no room for keywords: those segments are created through C, then opened. */
    static Dao::Shm<T> create(const std::string &path, Dao::Shape shape, uint32_t depth, int nbkw)
    {
        const auto first = ramp<T>(1, size_t{shape.at(0)} * shape.at(1));
        IMAGE image;

        if (nbkw == 0)
            return Dao::Shm<T>(path, shape, first.data(), depth);
        check(daoShmImageCreate_FIFO(&image, path.c_str(), 2, shape.data(),
                                     Dao::detail::element_code<T>, 1, nbkw, depth),
              "create");
        mixed_fill_keywords(&image);
        check(daoShmCloseShm(&image), "close");
        Dao::Shm<T> shm(path);
        check(shm.set_frame(first.data()), "set_frame");
        return shm;
    }

    std::string path_;
    Dao::Shm<T> shm_;
};

template <typename T>
static std::unique_ptr<Target> make(const std::string &path, const Dao::Shape &shape,
                                    uint32_t depth, int nbkw)
{
    return std::make_unique<TargetOf<T>>(path, shape, depth, nbkw);
}

static std::unique_ptr<Target> create(std::istream &words)
{
    static const std::map<std::string, decltype(&make<float>)> makers = {
        {"uint8", make<uint8_t>},           {"int8", make<int8_t>},
        {"uint16", make<uint16_t>},         {"int16", make<int16_t>},
        {"uint32", make<uint32_t>},         {"int32", make<int32_t>},
        {"uint64", make<uint64_t>},         {"int64", make<int64_t>},
        {"float32", make<float>},           {"float64", make<double>},
        {"complex64", make<complex_float>}, {"complex128", make<complex_double>},
    };
    std::string path, type;
    Dao::Shape shape(2);
    uint32_t depth = 0;
    int nbkw = 0;

    words >> path >> type >> depth >> nbkw >> shape[0] >> shape[1];
    return makers.at(type)(path, shape, depth, nbkw);
}

static void write(Target &target, std::istream &words)
{
    uint64_t frames = 0;
    long pause_us = 0;

    words >> frames >> pause_us; /* the second one only after "run" */
    while (frames-- > 0) {
        target.write();
        if (pause_us)
            std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
    }
}

static void obey(std::unique_ptr<Target> &target, const std::string &word, std::istream &words)
{
    uint64_t id = 0;

    if (word == "create")
        target = create(words);
    else if (word == "close")
        target.reset();
    else if (word == "write" || word == "run")
        write(*target, words);
    else if (word == "parts" && words >> id)
        target->write_parts(id);
    else
        throw std::runtime_error("no command: " + word);
    if (word == "create" || word == "close")
        std::cout << "ok" << std::endl;
    else
        std::cout << "at " << target->count() << std::endl;
}

int main()
{
    std::unique_ptr<Target> target;
    std::string line, word;

    while (std::getline(std::cin, line)) {
        std::istringstream words(line);

        words >> word;
        obey(target, word, words);
    }
}
