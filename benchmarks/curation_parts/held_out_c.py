"""Set C of what the text de-identifier has never seen: remarks with slots and harmless narration.

Written without sight of the patterns, word lists or tests, and not to be read by whoever writes
those; once they have looked at it, a figure measured on it says nothing.

Slots: {full} {titled} {first} {last} {doctor} name, {mrn} record number, {date} date,
{age} age over 89, {hospital} hospital, {phone} phone.
"""

REMARKS = (
    # formal time-outs
    "Stop before you start, please: we have {full}, born {date}, hospital number {mrn}, right eye.",
    "Can you tell me your name? {full}. And your date of birth? {date}. Lovely, thank you.",
    (
        "The wristband reads {last}, {first}, and the number underneath is {mrn}, which agrees "
        "with my list."
    ),
    (
        "Surgical pause, everyone: left eye, phaco with lens, patient {titled}, allergies none, "
        "anaesthetist {doctor}."
    ),
    (
        "I'm reading from the consent now, it was signed on {date} in front of {doctor}, and the "
        "side is the left."
    ),
    (
        "Lens check: the sticker says plus twenty one and a half, the sheet says the same, and "
        "both carry {mrn}."
    ),
    "For the recording, this operation is taking place at {hospital} and the date is {date}.",
    (
        "We are at {hospital}, theatre two, the surgeon is {doctor} and the patient is {titled}, "
        "aged {age}."
    ),
    (
        "Before I touch anything I want to hear the number again, {mrn}, and who is that, "
        "{titled}, good."
    ),
    "Sign-out: one foldable lens in, no complications, specimen none, file it under {mrn}.",
    (
        "Everyone agree that this is {first} {last} and that we're doing the trabeculectomy on "
        "the right?"
    ),
    "Biometry was printed on {date} and it belongs to {mrn}, so I'm happy with the choice of lens.",
    # talking to the patient, and about the patient
    "Keep your chin up a touch for me, {first}, you're doing ever so well.",
    "Nearly there, {titled}, you'll see the light get dimmer in a second.",
    "{first}, squeeze the nurse's hand if you need to cough, don't just cough.",
    "Not bad for {age}, is it, {first}? You're holding stiller than half of us could.",
    "I asked her how old she was and she said {age} with such a grin.",
    (
        "You wouldn't think it to look at the cornea, but this lady is {age} and still drives a "
        "tractor."
    ),
    "He turned {age} on {date}, and the whole family came along in the waiting room.",
    "Being {age} years old, she has quite a brittle nucleus, so we go gently with the chop.",
    "At {age} you can't expect strong zonules, and indeed look how the bag moves here.",
    (
        "A patient of {age}, only eye, pseudoexfoliation, small pupil: everything you don't want "
        "in one case."
    ),
    (
        "The oldest I ever did was {age}, a retired baker, and he read the bottom line the next "
        "morning."
    ),
    "{titled} used to teach my own children the piano, which is why I'm a little nervous today.",
    "Now {titled} has a deep orbit and a big brow, so I've moved to the temporal side.",
    # hearsay and asides
    "My fellow tells me {last} had the other eye done at {hospital} with a ruptured capsule.",
    "According to the letter from {doctor}, there was a retinal tear lasered on {date}.",
    "Apparently somebody over at {hospital} had already tried to needle this bleb twice.",
    (
        "I learned this manoeuvre from {doctor} when I was a resident at {hospital}, and I still "
        "do it that way."
    ),
    "The trick with the second instrument isn't mine, it was {doctor} who showed it at a meeting.",
    "This gentleman came by taxi from {hospital} because their microscope had broken down.",
    "Was it {doctor} who put in this anterior chamber lens, or did they do that at {hospital}?",
    "If {doctor} is watching this, yes, I did listen, and yes, I'm using more viscoelastic.",
    "Someone from {hospital} rang to say the graft tissue will be late, call them back on {phone}.",
    "The relatives want a word afterwards, the daughter's mobile is {phone}.",
    "Could one of you ring {phone} and say that {first} is going to be in recovery in ten minutes?",
    "That's my bleep, it'll be the ward, they're on {phone}, tell them I'm scrubbed.",
    (
        "Leave a message on {phone} for {doctor}, just say the pressure's fine and the tube is "
        "covered."
    ),
    "The son is called {first} as well, he's left {phone} as the number to reach him on.",
    "Put {phone} on the discharge sheet, that's the emergency line here at {hospital}.",
    (
        "If the eye goes red or the sight drops, I tell them all the same thing, ring {phone}, "
        "day or night."
    ),
    "Her neighbour does the drops for her, that's a {titled}, and the number is {phone}.",
    "The optician who referred him wants a copy, their phone is {phone}, ask for {first}.",
    "We borrowed the spare vitrectomy pack from {hospital}, and {first} from stores drove it over.",
    # dictation
    (
        "Operation note. Name {full}. Number {mrn}. Date of operation {date}. Procedure, left "
        "phacoemulsification."
    ),
    (
        "Dictating for {titled}, record {mrn}: uneventful surgery through a two point two "
        "incision, sutureless."
    ),
    "Copy of this letter to {doctor} at {hospital}, and one to the patient, please.",
    (
        "Dear {doctor}, thank you for sending {full}, aged {age}, whose right cataract I removed "
        "today."
    ),
    "New paragraph. Follow-up is booked for {date} at {hospital}, earlier if there's any pain.",
    (
        "Addendum to the note of {date}: the suture at two o'clock was removed at the slit lamp, "
        "full stop."
    ),
    "Please add contact details, next of kin {full}, telephone {phone}, and close the letter.",
    (
        "Reference {mrn}, seen {date}, vitrectomy for macular hole, gas fill, posture face down "
        "for three days."
    ),
    "Clinic phone {phone}, hospital number {mrn}, that's all the secretary needs for the booking.",
    "Type it as {last}, record number {mrn}, and underline that there's a steroid response.",
    "Discharged home with a shield, age {age}, lives alone, district nurse to be told on {phone}.",
    # teaching
    (
        "The video you're about to see was recorded at {hospital} on {date}, and the case is a "
        "white cataract."
    ),
    "I'll call this the {last} case, because that's what we all call it in the department.",
    "Compare this with what happened to {full} on {date}, when we didn't stain the capsule.",
    "Some of you will recognise this eye, it's {titled} again, back for the Descemet graft.",
    "Look at the top corner of the overlay, it still shows {mrn}, I must remember to cut that out.",
    "The machine has been logging this as {mrn} since {date}, so ignore the banner down there.",
    (
        "Our second case, a {age} year old with Fuchs dystrophy, was sent in by {doctor} with a "
        "very shallow chamber."
    ),
    "So the registrar, {first}, is taking over for the cortex, and I'll sit on my hands.",
    (
        "In the series from {hospital} we had one patient who was {age} and who did better than "
        "any of the others."
    ),
    "Here I was stuck, I'll be honest, and I shouted for {doctor}, who was next door.",
    "Want the unedited film? Phone the office on {phone} and ask them for the one filed as {mrn}.",
    # mid-sentence mentions
    "So as I rotate the nucleus, and {last} always has this sticky cortex, I keep the flow low.",
    (
        "The lens, which was ordered back on {date} under {mrn}, is going in through the "
        "cartridge now."
    ),
    (
        "I'm taking my time here, since at {age}, with a heart like that, {titled} won't be "
        "coming back for a second go."
    ),
    "While that polishes up, can someone phone {phone}, because {full} is next and hasn't arrived.",
)

HARMLESS = (
    "Let's begin with a paracentesis at two o'clock, parallel to the iris.",
    "I like the side port to be about one millimetre wide, no more than that.",
    "The chamber is filled with a dispersive viscoelastic until the eye feels firm.",
    "Notice that I push the aqueous out ahead of the gel rather than trapping it underneath.",
    "Now the main incision, two point four millimetres, just inside the limbal vessels.",
    "A square wound seals better than a long narrow one.",
    "I advance the keratome until the shoulders have passed, then dimple down and go in.",
    "If you enter too early, the iris will come out to greet you.",
    "The tip of the blade should stay in view the whole time.",
    "With the cystotome I make a small tear in the centre and push it towards three o'clock.",
    "Fold the flap over, and then regrasp close to the tearing edge.",
    (
        "The rhexis wants to run out here, so I stop, add more viscoelastic and pull towards the "
        "centre."
    ),
    "Five millimetres is what I'm aiming for, so the edge covers the optic all round.",
    "See how the red reflex gives you a clear outline of the tear.",
    "Without the reflex you'd be working in the dark, so ask for the dye early.",
    "Trypan blue goes in under air, and I leave it for about ten seconds.",
    "Wash it out completely, otherwise everything looks murky.",
    "Now the capsule is a lovely blue and the tear is easy to follow.",
    "A short burst of fluid under the rim, and there goes the wave across the back.",
    "I press down gently on the nucleus to let the trapped fluid out.",
    "Never inject hard if the lens hasn't been decompressed.",
    "The nucleus should spin freely before you put the phaco probe in.",
    "If it won't rotate, repeat the hydrodissection from the other side.",
    "Hydrodelineation gives us this golden ring, and the epinucleus will cushion everything we do.",
    "In a posterior polar cataract I skip the hydrodissection entirely.",
    "The probe goes in bevel down and comes up once it's past the iris.",
    "First I clear the loose cortex and epinucleus from the surface.",
    "Sculpting needs low vacuum and just enough power to shave the tissue.",
    "Take it down to about two probe diameters deep.",
    "You can judge depth by how bright the red glow becomes at the bottom of the groove.",
    "Both instruments go to the base of the trench, and then I push them apart.",
    "That's a complete crack, all the way through the back plate.",
    "Turn it ninety degrees and repeat the same thing.",
    "Four quadrants, and each of them is now free.",
    "I bury the tip with a short burst and then let the vacuum build.",
    "Hold, hook around the equator, and pull the chopper towards the probe.",
    "The vertical chop is kinder to the zonules in a hard lens.",
    "With a soft lens there's nothing to chop, so I just aspirate it.",
    "Keep the chopper in the middle of the bag, where you can see it.",
    "Bring the piece up to the iris plane before you emulsify it.",
    "Chatter means the power is too high or the vacuum's too low.",
    "When the last fragment comes up I lower the vacuum, because the bag will follow.",
    "Put the second instrument behind it as a guard against the capsule.",
    "There's a little surge there, did you see the bag jump?",
    "Foot position two, then three, then straight back to two.",
    "Don't come out of the eye with the irrigation off, or the chamber will collapse.",
    "The bottle is at ninety centimetres, and I've dropped the aspiration rate to twenty five.",
    "We used eight seconds of effective phaco time, so this was not a dense cataract.",
    "I'm switching to torsional ultrasound for this brunescent nucleus.",
    "A dense lens like this behaves more like wood than like butter.",
    "The leathery posterior plate is what makes these so unpleasant.",
    "I keep painting the endothelium with gel every couple of minutes.",
    "Now bimanual irrigation and aspiration for the cortex.",
    "Catch the cortex at the edge, strip it towards the centre, and then raise the vacuum.",
    "Subincisional cortex is always the last to go.",
    "If it's stubborn, leave it until the lens is in and use the lens to loosen it.",
    "The silicone tip is much safer against the posterior capsule than a metal one.",
    "There's a fine plaque left here, and I polish that with low vacuum.",
    "I don't chase every cell on the anterior capsule.",
    "Look at the little spider of folds, that tells you the port has caught the capsule.",
    "Stop, reflux, and it lets go.",
    "The bag is open, round, and perfectly clean.",
    "Fill it with a cohesive viscoelastic, because that comes out more easily afterwards.",
    "The lens is loaded with the leading haptic folded over the optic.",
    "Bevel down, tip into the wound, and turn the plunger slowly.",
    "The optic unfolds like a flower, you just have to wait.",
    "Nudge the trailing haptic under the rim with a hook.",
    "A quarter turn clockwise brings it into the horizontal.",
    "For a toric lens I stop about fifteen degrees short of the final axis.",
    "The marks line up with the dots we made on the limbus while sitting up.",
    "Each degree off axis costs you around three percent of the correction.",
    "Take out the gel from behind the optic too, or it will rotate overnight.",
    "I rock the lens from side to side and see whether bubbles come out from below.",
    "Hydrate the side walls of the wound until the stroma turns white.",
    "A sponge on the wound shows no leak at all.",
    "The eye is firm to touch, maybe twenty or so.",
    "I finish with intracameral cefuroxime, a tenth of a millilitre.",
    "That's it, six and a half minutes from skin to skin.",
    "No stitch, no patch, just a clear shield for the night.",
    # small pupils, floppy irides, weak zonules, open capsules
    "This pupil has come up to barely four millimetres in spite of all the drops.",
    "I inject phenylephrine first and see how much that gives me.",
    "Stretching the pupil only works when the sphincter is fibrotic.",
    "In a floppy iris it makes things worse, because it simply snaps back.",
    "Five iris hooks in a diamond give me room just in front of the incision.",
    "The ring has four scrolls, and each one engages the pupil margin in turn.",
    "Start with the distal scroll and finish with the one closest to you.",
    "The Malyugin ring comes out in the reverse order, back into its injector.",
    "Here the iris is billowing towards the wound with every change in flow.",
    "Lower the bottle, lower everything, and work slowly.",
    "Posterior synechiae all the way round, so I sweep them with the spatula.",
    "There's white fluffy material on the pupil edge, which warns me about the zonules.",
    "The lens wobbles when I touch it, and that's phacodonesis.",
    "I'd rather place a tension ring late than early, but as early as I need it.",
    "The ring slides along the equator of the bag, and the eyelet follows.",
    "Three clock hours of dialysis can be managed with the ring alone.",
    "Beyond four hours I would suture a segment to the sclera.",
    "Capsule hooks hold the bag like tent pegs.",
    "There, a small round hole in the posterior capsule, right in the middle.",
    "The worst thing you could do now is pull the probe out in a panic.",
    "I keep the irrigation going and fill the chamber through the side port before I withdraw.",
    "Is there vitreous in the front? A drop of triamcinolone will show us.",
    "The strands light up white, like cotton wool.",
    "Cut first, suck second, that's the setting for anterior vitrectomy.",
    "I go through the pars plana for this, because it draws the vitreous backwards.",
    "The rim is intact, so a three-piece lens goes in the sulcus with the optic captured behind.",
    "Take half a dioptre to a whole dioptre off the power when you're in the sulcus.",
    "A little acetylcholine brings the pupil down, and it's perfectly round.",
    "A peaked pupil always means a strand to the wound.",
    "The nucleus has tilted to the back, and I'm not going to fish for it.",
    "Fragments on the retina are a job for the vitreoretinal team.",
    "The Argentinian flag sign is what we're all afraid of in these white lenses.",
    "I decompress with a needle first, and you can see milky fluid pouring out.",
    "Once the pressure on both sides is equal the tear behaves itself.",
    "A second, smaller rhexis can be widened after the lens is in.",
    "In a shallow chamber I start by giving mannitol before surgery.",
    "The eye is short, only twenty millimetres, so everything is crowded.",
    "In a long eye, the chamber deepens suddenly, and I lift the iris off the rim with the hook.",
    "Reverse pupillary block is uncomfortable, and the fix takes two seconds.",
    # manual surgery, paediatric, secondary lenses
    "For the small-incision technique I make a frown-shaped groove behind the limbus.",
    "The tunnel is wider on the inside than it is on the outside.",
    "With the crescent blade I wiggle forward until I'm a millimetre and a half into clear cornea.",
    "The nucleus has to be brought up into the anterior chamber first.",
    "One pole pops out, and then I wheel the rest around it.",
    "Slide the Simcoe cannula in and strip the cortex with the other hand on the syringe.",
    (
        "The irrigating vectis goes underneath, and as I press on the floor of the tunnel it "
        "comes out."
    ),
    "It's slow and old-fashioned, and it costs almost nothing.",
    "A child's capsule is elastic like rubber, so aim smaller than you think.",
    "I pull towards the centre for the entire tear.",
    "The posterior capsule gets its own opening, about a millimetre smaller.",
    "A limited vitrectomy in front prevents the membrane from growing back.",
    "Children's wounds always get a stitch, no matter how good they look.",
    (
        "This lens dislocated into the lower half of the bag, and the whole complex sinks when I "
        "tilt the eye."
    ),
    "I dock the haptic in a thirty gauge needle that sits two millimetres behind the limbus.",
    "The end of the haptic is melted with the cautery into a little bulb.",
    "Push the bulb back into the scleral tunnel so nothing is exposed.",
    "Both needles have to be exactly opposite one another, otherwise the optic tilts.",
    "An iris-claw lens can be fixed at the back of the iris with a gentle push.",
    "Cutting the old optic almost in half lets me take it out through three millimetres.",
    "Like a record player, it pivots around the cut.",
    "The glued technique needs two flaps, and I make those first.",
    "Explanting a multifocal isn't difficult if the bag hasn't yet scarred down.",
    "Free the haptics with viscoelastic, because they're often stuck at the very end.",
    # glaucoma
    "The stent sits on the inserter like a tiny snorkel.",
    "Tilt the head away from you and the microscope towards you until the angle opens up.",
    "The gonioprism just floats on the gel, so don't press.",
    "That brown band is the pigmented meshwork, and it's the one we're after.",
    "A bit of blood reflux in Schlemm's canal shows you where to aim.",
    "I approach the wall at a shallow angle and release.",
    "The heel should rest flush on the meshwork.",
    "Another one goes in two clock hours further along.",
    "Unroofing the canal with the dual blade gives you two neat strips.",
    "A small bleed at this point is good news, since it means we're in the right place.",
    (
        "The suture catheter goes round all three hundred and sixty degrees, and the lit tip "
        "shows where it is."
    ),
    "For the filter I begin with a fornix-based flap of conjunctiva.",
    "Blunt dissection with Westcott scissors, keeping Tenon's together with the conjunctiva.",
    "Mitomycin soaked sponges go well back, far from the limbus, for three minutes.",
    "Rinse it with plenty of saline.",
    "The scleral flap is four by three millimetres and half the depth of the wall.",
    "One punch, then another, and the opening is clean.",
    "The iridectomy must be wider at its base than the ostium.",
    "Releasable sutures let me lower the pressure in clinic by just pulling.",
    "The flow is slow and steady under the flap, as it should be.",
    "Closing the conjunctiva is the most important step, so I don't rush it.",
    "The plate of the shunt sits between the superior and lateral rectus.",
    "Prime the Ahmed valve before you sew it on, or it will never open.",
    "Non-valved tubes are tied off with a dissolving thread for six weeks.",
    "I trim the tube bevel up so that the iris doesn't plug it.",
    "The needle track enters parallel to the iris, away from the cornea.",
    "A patch graft over the tube keeps it from eroding.",
    "With the diode probe I do eighteen spots and spare three and nine o'clock.",
    "If I hear a pop, I turn the power down.",
    "Laser iridotomy is easiest in a crypt, where the iris is thin.",
    # cornea
    "The host is trephined first in this case, eight millimetres across.",
    "Half turns with the vacuum trephine until aqueous comes through.",
    "Cut the rest with scissors, keeping the blades vertical.",
    "The donor is a quarter of a millimetre larger than the bed.",
    "Four cardinal sutures first, and the second one matters most.",
    "If you see a perfect square in the tension lines, the graft is centred.",
    "Sixteen bites of ten-nought nylon, ninety percent depth.",
    "Bury the knots on the donor side, or the host side if you prefer, but bury them.",
    "For the lamellar graft I'm trying to get a big bubble with air.",
    "Needle in deep, bevel down, and push until the cornea goes white.",
    "That's a type one bubble, dome shaped and spreading from the middle to the sides.",
    "A quick slit in the roof lets the bubble collapse.",
    "Descemet's membrane is as thin as cling film and rolls up in the same way.",
    "The scroll is stained twice so that I can see which side is up.",
    "Tap, tap, on the outside of the cornea, and it unrolls by itself.",
    "The letter we stamped on the graft reads the right way round, so it's not upside down.",
    "A full air bubble underneath, and we leave it for an hour.",
    "Stripping the old membrane takes no more than a reversed hook and patience.",
    "I make an opening in the lower iris so that the air won't cause a block.",
    "A pterygium is avulsed from the cornea rather than cut.",
    "Take the graft as thin as you can, you should see the scissors through it.",
    "Fibrin glue saves me ten minutes of sewing.",
    "Keep the limbal edge facing the limbus.",
    "The epithelium is loosened with twenty percent alcohol in a well.",
    "Cross-linking needs riboflavin every two minutes for half an hour.",
    "The flap is lifted with a spatula from the hinge side.",
    "I check for wrinkles and float the flap again when I see one.",
    "The lenticule comes out in one piece, which you can confirm by spreading it on the cornea.",
    "A relaxing incision at six hundred microns, following the steep axis.",
    "Here is a metal foreign body with a rust ring, and the burr takes care of that.",
    # retina and vitreous
    "Three ports, twenty five gauge, four millimetres behind the limbus.",
    "I displace the conjunctiva and go in at an angle, then straighten up.",
    "Always look for the tip of the infusion in the vitreous before you turn it on.",
    "Core first, and the periphery later.",
    "To lift the hyaloid I rest the cutter over the disc with maximum suction.",
    "There's the ring, and it spreads out to the equator.",
    "If it's stuck, a bit of steroid will show you the remaining sheet.",
    "Depress the sclera and shave the base all the way round.",
    "The membrane blue dye sits for thirty seconds and then I aspirate it.",
    "Pinch, lift, and peel in a circle around the fovea.",
    "The whitening left behind marks exactly where the limiting membrane has gone.",
    "With the flap technique I leave a little hinge and lay it over the hole.",
    "End-gripping forceps have to be really close before you shut them.",
    "The detachment is bullous from eleven to four, with two breaks.",
    "Heavy liquid flattens it from the back towards the front.",
    "Drain through the break as the air comes in.",
    "Laser in three rows, not too hot, just a grey-white burn.",
    "Oil goes in slowly through the port while the air escapes from the other.",
    "Fourteen percent gas will stay for about two months.",
    "Nobody with a gas bubble can fly, and I tell the patient that twice.",
    "A buckle still has its place in a young eye with the vitreous attached.",
    "The band goes under all four muscles and gets tied in a sleeve.",
    "Freeze until you see the ice reach the retina, then stop.",
    "The indentation lies right under the tear, so I'm satisfied.",
    "In diabetics, I segment first and then delaminate with the curved scissors.",
    "Raise the infusion for a minute when it bleeds.",
    "Intravitreal injection, three and a half millimetres from the limbus as there's an implant.",
    "Check that they can count fingers before leaving the chair.",
    "The chandelier frees my other hand for two-handed work.",
    "Nothing beats a wide-angle view for finding tiny breaks.",
    # lids, muscles, tear ducts, orbit
    "I draw the crease at eight millimetres and mark the skin to be removed.",
    "Less is more in an upper lid, you can't put skin back.",
    "The orbital septum opens, and the fat just pops forward.",
    "Behind the fat is the white sheet we're looking for.",
    "Three mattress sutures through the tarsal plate, and then ask the patient to open.",
    "That's a nice arch, with the peak just inside the pupil.",
    "The lateral strip is fixed to the inner rim with a double-ended stitch.",
    "A full-thickness wedge must be closed at the grey line first.",
    "If you get the lashes aligned, the rest will follow.",
    "Probing is gentle: vertical for two millimetres, then flat.",
    "A metal-on-metal feel tells you that you've reached the nose.",
    "The silicone tube is pulled out and tied inside the nostril.",
    "I make a bony window with the punch, about fifteen by fifteen.",
    "The muscle is hooked under its insertion, one smooth sweep.",
    "Lock the suture at both edges before you cut.",
    "Measure five millimetres back with the caliper and mark it with ink.",
    "A resection strengthens, a recession weakens, that's the whole principle.",
    "Watch the heart rate when pulling on the medial rectus.",
    "With adjustable sutures we can fine tune it once they're awake.",
    "The ball implant is eighteen or twenty, whatever closes without tension.",
    # anaesthesia, set-up, machine, remarks to trainees
    "A drop of povidone iodine in the sac for three minutes is the best antibiotic we have.",
    "Tuck the lashes away under the drape, every one of them.",
    "The speculum shouldn't touch the cornea.",
    "Preservative-free lidocaine goes in before the gel, and it stings a bit.",
    "A sub-Tenon's block is placed in the lower nasal quadrant.",
    "Snip, tunnel with the blunt cannula, and let it flow.",
    "I sit at the side because the brow doesn't get in the way there.",
    "Set your eyepieces to zero before you blame the focus.",
    "Bring the eye into the middle of the picture with your left foot.",
    "High magnification for the rhexis, low for putting the lens in.",
    "Relax your shoulders, your hands will follow.",
    "Rest your wrist on the frame, and your little finger on the forehead.",
    "Pivot in the wound, don't push on it.",
    "You're bending the cornea, look at those striae.",
    "If you can't see it, don't cut it.",
    "Stopping is a skill, and it takes longer to learn than chopping.",
    "When I was training, I used to hold my breath for the whole capsulorhexis.",
    "It's better to take two small bites than one heroic one.",
    "Good hands are mostly good positioning.",
    "Everyone drops a nucleus sooner or later, and what counts is what you do next.",
    "Compare this cleavage with the previous one, which didn't go all the way to the bottom.",
    "The femtosecond laser has already done the first part, so I only lift the cap off.",
    "Careful, there may still be little tags that hold the edge.",
    "Gas from the laser hides behind the nucleus, so rock it before you inject.",
    "This tubing is soft, and that's why we get post-occlusion surge.",
    "I keep the handpiece cool with a drip of saline.",
    "An iris cyst here is of no consequence, I'm just pointing it out.",
    "Could I have the lights down, and a fresh blade, please?",
    "Hand me the Utrata forceps, and have the micro forceps ready in case.",
    "The Sinskey hook works just as well for dialling the optic.",
    "A Kuglen hook pushes and pulls, so it's two tools in one.",
    "Balanced salt on the cornea, thank you, it's drying out.",
    "I'll take the thirty gauge cannula on a three millilitre syringe.",
    "Let me have another vial of that gel, we're going to need it.",
    "We planned for minus a quarter, which leaves a bit of reading vision.",
    "Extended depth lenses give fewer halos than the trifocals do.",
    "A monofocal remains the workhorse, and there's no shame in that.",
    "Vault is about six hundred, so the phakic lens is well sized.",
    "Tuck each footplate under the iris without touching the crystalline lens.",
    "Two things to remember from this case: stain early, and keep the chamber full.",
    "The wound has stretched to two point six by now, which is fine for this lens.",
    "A bent needle does the job if you haven't got a cystotome on the tray.",
    "My left hand does nothing at this stage except hold the eye still.",
    "You'll find the plane more easily if you let the air do the dissecting.",
    "There's some bleeding from the limbus, so a touch of cautery and we carry on.",
    "Over the next few days the corneal swelling clears up without any help from us.",
    "In summary, slow is smooth, and smooth is fast.",
    "Thanks for watching, and do leave your questions underneath.",
)
